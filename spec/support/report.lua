-- Busted's output for this project: failures in full, one line for each skipped test, and as the last line
-- "N passed, N failed[, N skipped]".

local busted = require "busted"

---@param options table   busted's
return function(options)
  local handler = require "busted.outputHandlers.base"()
  local write = function(...) io.stdout:write(...) end

  local function place(trace)
    return trace and trace.currentline and ("%s:%d"):format(trace.short_src, trace.currentline) or "?" -- no file: no line
  end

  local function show(kind, item)
    write("\n", kind, ": ", item.name, "\n  at ", place(item.trace or item.element.trace), "\n")
    write("  ", tostring(item.message):gsub("\n", "\n  "), "\n")
    local traceback = item.isError and item.trace and item.trace.traceback
    if traceback then write("  ", (traceback:gsub("^%s+", ""):gsub("\n", "\n  ")), "\n") end
    io.stdout:flush()
  end

  -- Failures are shown as they occur, so that a crash later on does not hide them.
  local shown = { failures = 0, errors = 0 }
  local function show_new()
    for kind, n in pairs(shown) do
      for i = n + 1, #handler[kind] do show(kind == "errors" and "ERROR" or "FAILED", handler[kind][i]) end
      shown[kind] = #handler[kind]
    end
    return nil, true
  end

  local function finish()
    for _, item in ipairs(handler.pendings) do
      write("skipped: ", item.name, item.message and " (" .. tostring(item.message) .. ")" or "", "\n")
    end
    local skipped = handler.pendingsCount
    write(("%d passed, %d failed"):format(handler.successesCount, handler.failuresCount + handler.errorsCount))
    write(skipped > 0 and (", %d skipped"):format(skipped) or "", "\n")
    io.stdout:flush()
    return nil, true
  end

  busted.subscribe({ "failure" }, show_new)
  busted.subscribe({ "error" }, show_new)
  busted.subscribe({ "exit" }, finish)

  if options.verbose then
    busted.subscribe({ "file", "end" }, function(file)
      write(("%7.2f s  %s\n"):format(file.duration, file.name))
      io.stdout:flush()
      return nil, true
    end)
  end
  return handler
end
