local terminal = require "step.cli.terminal"

local function screen(is_terminal, variables, columns, lines)
  return terminal.screen({
    is_terminal = function() return is_terminal end,
    getenv = function(name) return variables[name] end,
    size = function() return columns, lines end,
  }, {})
end

describe("a screen", function()
  it("has colours on a terminal only", function()
    assert.equal("\27[31mx\27[0m", screen(true, { TERM = "xterm" }):paint("x", "red"))
    assert.equal("x", screen(false, {}):paint("x", "red"))
    assert.equal("x", screen(true, {}):paint "x")
  end)

  it("honours NO_COLOR, unless it is empty", function()
    local plain = screen(true, { NO_COLOR = "1" })
    assert.is_false(plain.colour)
    assert.is_true(plain.live)
    assert.is_true(screen(true, { NO_COLOR = "" }).colour)
  end)

  it("is not live on a terminal that can do nothing", function()
    local dumb = screen(true, { TERM = "dumb" })
    assert.is_false(dumb.live)
    assert.is_false(dumb.colour)
  end)

  it("shows signs beyond ASCII where the locale has them", function()
    assert.is_true(screen(true, { LANG = "de_DE.UTF-8" }).unicode)
    assert.is_true(screen(true, { LC_ALL = "C.utf8", LANG = "C" }).unicode)
    assert.is_false(screen(true, { LC_ALL = "C", LANG = "de_DE.UTF-8" }).unicode)
    assert.is_false(screen(true, {}).unicode)
  end)

  it("has a size, known, told or assumed", function()
    assert.same({ 100, 30 }, { screen(true, {}, 100, 30).size() })
    assert.same({ 120, 50 }, { screen(true, { COLUMNS = "120", LINES = "50" }).size() })
    assert.same({ 80, 24 }, { screen(true, {}).size() })
  end)

  it("is none for a stream that is a file", function()
    local file <close> = assert(io.tmpfile())
    assert.is_false(terminal.is_terminal(file))
  end)
end)
