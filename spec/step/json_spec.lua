local cjson = require "cjson"
local core = require "step.core".json
local json = require "step.json"

--- A stand-in for the newer rock of lua-cjson (2.1.0.10 and later) over the installed one, where the two differ: numbers
-- without '.' are integers, others go through 16 digits, arrays have its own metatable, "/" is not escaped.
local newer = { array_mt = {}, null = cjson.null }
function newer.new()
  local old = cjson.new()
  local function change(value)
    if type(value) == "number" then
      return math.tointeger(value) or tonumber(("%.16g"):format(value))
    elseif type(value) == "table" then
      for k, v in pairs(value) do value[k] = change(v) end
      if #value > 0 then setmetatable(value, newer.array_mt) end
    end
    return value
  end
  return {
    decode = function(text) return change(old.decode(text)) end,
    encode = function(value) return (old.encode(value):gsub("\\/", "/")) end,
    decode_max_depth = old.decode_max_depth,
  }
end

local function same(a, b)
  if type(a) ~= type(b) or math.type(a) ~= math.type(b) then return false end
  if type(a) == "number" then return a == b and (a ~= 0 or 1 / a == 1 / b) end
  if type(a) ~= "table" then return a == b end
  if json.is_array(a) ~= json.is_array(b) then return false end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

--- Has every array of a tree the metatable?
local function arrays_marked(value)
  if type(value) ~= "table" then return true end
  if json.is_array(value) and getmetatable(value) ~= json.array_mt then return false end
  for _, v in pairs(value) do
    if not arrays_marked(v) then return false end
  end
  return true
end

local function nest(levels, inner)
  for _ = 1, levels do inner = { inner } end
  return inner
end

local function refused(value)
  local text, err = json.encode(value)
  assert.is_nil(text)
  assert.equal("json", err.kind)
  local copy, copy_err = json.copy(value)
  assert.is_nil(copy)
  assert.equal(err.message, copy_err.message)
  assert.equal(err.path, copy_err.path)
  return err.message
end

describe("arrays and null", function()
  it("need no C module", function()
    local saved = { package.loaded["step.json"], package.loaded["step.core"] }
    package.loaded["step.json"], package.loaded["step.core"] = nil, nil
    package.preload["step.core"] = function() error("the C module is loaded") end
    local ok, message = pcall(function()
      local fresh = require "step.json"
      assert.equal(cjson.null, fresh.null)
      assert.is_true(fresh.is_array(fresh.array()))
      assert.has_error(function() fresh.encode(1) end)
    end)
    package.preload["step.core"] = nil
    package.loaded["step.json"], package.loaded["step.core"] = saved[1], saved[2]
    assert(ok, message)
  end)

  it("are told apart from objects", function()
    assert.is_true(json.is_array { 1 })
    assert.is_true(json.is_array(json.array()))
    assert.is_false(json.is_array {})
    assert.is_false(json.is_array { a = 1 })
    assert.is_false(json.is_array { 1, a = 1 })
    assert.is_false(json.is_array { 1, nil, 3 })
    assert.is_false(json.is_array { [2] = 1 })
    assert.is_false(json.is_array(json.null))
    assert.is_false(json.is_array("x"))
    local t = { "a" }
    assert.equal(t, json.array(t))
    assert.equal(json.array_mt, getmetatable(t))
  end)
end)

for name, module in pairs { installed = cjson, newer = newer } do
  describe("json on the " .. name .. " cjson:", function()
    setup(function() core.use(module) end)
    teardown(function() core.use(cjson) end)

    describe("numbers (D22)", function()
      local function read(text)
        local value = assert(json.decode(text))
        return math.type(value) .. " " .. json.encode(value)
      end

      it("written without '.' and 'e' are integers to 64 bits", function()
        assert.equal("integer 0", read "0")
        assert.equal("integer 0", read "-0")
        assert.equal("integer 999999999999999", read "999999999999999")
        assert.equal("integer 9007199254740993", read "9007199254740993")
        assert.equal("integer 9223372036854775807", read "9223372036854775807")
        assert.equal("integer -9223372036854775808", read "-9223372036854775808")
      end)

      it("beyond 64 bits are floats", function()
        assert.equal("float 9.223372036854776e+18", read "9223372036854775808")
        assert.equal("float -9.223372036854776e+18", read "-9223372036854775809")
        assert.equal("float 1e+25", read "10000000000000000000000000")
        assert.equal(10 ^ 300, json.decode("1" .. ("0"):rep(300)))
      end)

      it("with '.' or 'e' stay floats", function()
        assert.equal("float 2.0", read "2.0")
        assert.equal("float 100.0", read "1e2")
        assert.equal("float 0.0", read "0.0")
        assert.equal("float -0.0", read "-0.0")
        assert.equal("float 1e+15", read "1e15")
        assert.equal("float 0.1", read "0.1000000000000000000000000000000000000000000000000000000001")
      end)

      it("keep 17 digits, in the shortest text that reads back", function()
        assert.equal("float 0.30000000000000004", read "0.30000000000000004")
        assert.equal("float 0.1", read "0.10000000000000000555")
        assert.equal("float 3.141592653589793", read "3.141592653589793")
        assert.equal("float 5e-324", read "4.9406564584124654e-324")
        assert.equal("float 1.7976931348623157e+308", read "1.7976931348623157E+308")
        assert.equal("float 2.2250738585072014e-308", read "2.2250738585072014e-308")
      end)

      it("that no double holds are refused", function()
        assert.equal("line 1, column 2: number beyond the largest double, found '1'", select(2, json.decode "[1e999]").message)
        assert.matches("beyond", tostring(select(2, json.decode("-" .. ("9"):rep(400)))))
      end)

      it("do not depend on the locale", function()
        local before = os.setlocale(nil, "numeric")
        local found
        for _, locale in ipairs { "de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "pt_BR.UTF-8" } do
          found = found or os.setlocale(locale, "numeric")
        end
        local ok, message = pcall(function()
          local text = "[1.5,1.5e+300,12345678901234567890,5,0.30000000000000004]"
          assert.equal("[1.5,1.5e+300,1.2345678901234567e+19,5,0.30000000000000004]", json.encode(json.decode(text)))
          assert.equal('[1,2,3,{"a":4,"b":5}]', json.encode(json.decode('[1,2 ,3,{"a":4,"b":5}]')))
          assert.matches("beyond", select(2, json.decode "[1.5e999,1]").message)
        end)
        os.setlocale(before, "numeric")
        assert(ok, message)
      end)
    end)

    describe("[], {} and null (D22)", function()
      it("stay different", function()
        local text = '[[],{},null,{"a":[],"b":{},"c":null},[[]]]'
        local value = json.decode(text)
        assert.equal(text, json.encode(value))
        assert.is_true(arrays_marked(value))
        assert.equal(json.null, value[3])
        assert.is_nil(getmetatable(value[2]))
        assert.equal(text, json.encode(json.copy(value)))
        assert.is_true(arrays_marked(json.copy(value)))
      end)

      it("alone are texts too", function()
        for _, text in ipairs { "[]", "{}", "null", "true", "false", '""', "1.5", "12345678901234567" } do
          local value, err = json.decode(" \t\r\n" .. text .. "\n")
          assert.is_nil(err)
          assert.equal(text, json.encode(value))
          assert.equal(text, json.encode(json.copy(value)))
        end
      end)

      it("keys that look like indices make no array", function()
        local value = json.decode '{"1":"a","2":"b"}'
        assert.same({ ["1"] = "a", ["2"] = "b" }, value)
        assert.equal('{"1":"a","2":"b"}', json.encode(value))
      end)
    end)

    describe("objects", function()
      it("are written in the order of the keys' bytes", function()
        local object, expected = {}, {}
        for i = 1, 300 do
          local key = ("k%d"):format(i * 7919 % 1000)
          object[key], expected[i] = i, key
        end
        table.sort(expected)
        for i, key in ipairs(expected) do expected[i] = ('"%s":%d'):format(key, object[key]) end
        assert.equal("{" .. table.concat(expected, ",") .. "}", json.encode(object))
        assert.equal('{"":1,"\\u0000":2,"A":3,"a":4,"a\\u0000":5,"aa":6,"é":7,"😀":8}',
          json.encode { [""] = 1, ["\0"] = 2, A = 3, a = 4, ["a\0"] = 5, aa = 6, ["é"] = 7, ["😀"] = 8 })
      end)

      it("hold the last of equal keys", function()
        assert.same({ a = 2 }, json.decode '{"a":1,"a":2}')
        assert.same({ a = 2 }, json.decode '{"a":[],"\\u0061":2}')
      end)
    end)

    describe("strings", function()
      it("are any UTF-8", function()
        local all = {}
        for c = 0, 0x10ffff, 97 do
          if c < 0xd800 or c > 0xdfff then all[#all + 1] = utf8.char(c) end
        end
        for c = 0, 0x7ff do all[#all + 1] = utf8.char(c) end
        local text = table.concat(all)
        assert.equal(text, json.decode(json.encode(text)))
        assert.equal(text, json.copy(text))
        assert.same({ [text] = 1 }, json.decode(json.encode { [text] = 1 }))
        for _, c in ipairs { 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff } do
          assert.equal(utf8.char(c), json.decode(json.encode(utf8.char(c))))
        end
      end)

      it("are written alike on every cjson", function()
        assert.equal('"/ \\" \\\\ \\b\\f\\n\\r\\t\\u0000\\u001f\\u007f é"', json.encode '/ " \\ \b\f\n\r\t\0\31\127 é')
        assert.equal('"a/b"', json.encode "a/b")
        assert.equal('"\\\\/"', json.encode "\\/")
      end)

      it("are read with every escape", function()
        assert.equal('"\\/\b\f\n\r\t\0é😀\u{ffff}', json.decode [["\"\\\/\b\f\n\r\t\u0000\u00E9\uD83D\ude00\uffff"]])
      end)

      it("of many megabytes are escaped in parts", function()
        local text = ('é"\n/x'):rep(700000)
        assert.equal(text, json.decode(json.encode(text)))
      end)

      it("that look like the guard's marks are strings", function()
        for _, text in ipairs { "ÿ[", "ÿi0123456789", "\u{ff}d" .. ("\u{80}"):rep(5), "[", "[]", "{}", "null", "1.5", "" } do
          assert.equal(text, json.decode(json.encode(text)))
          assert.same({ text, [text] = nil }, json.decode(json.encode { text }))
        end
        assert.matches("invalid UTF%-8", tostring(select(2, json.decode '"\xff["')))
      end)

      it("that are no UTF-8 are refused", function()
        for _, bytes in ipairs { "\xff", "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3(" } do
          assert.equal("$: invalid UTF-8 at byte 3 of the string", refused("ab" .. bytes))
          assert.equal("$: invalid UTF-8 at byte 12 of the string", refused("ab345678901" .. bytes))
          local value, err = json.decode('["é' .. bytes .. '"]')
          assert.is_nil(value)
          assert.equal(5, err.offset)
          assert.equal(4, err.column)
        end
        assert.equal('$["a\\xff"]: invalid UTF-8 at byte 2 of the key', refused { ["a\xff"] = 1 })
      end)
    end)

    describe("bad text is refused with its place:", function()
      for text, expected in pairs {
        [""] = "line 1, column 1: a value expected, found the end of the text",
        ["[1,"] = "line 1, column 4: a value expected, found the end of the text",
        ["[1,]"] = "line 1, column 4: a value expected, found ']'",
        ["[1 2]"] = "line 1, column 4: ',' or ']' expected, found '2'",
        ["[1}"] = "line 1, column 3: ',' or ']' expected, found '}'",
        ['{"a":1]'] = "line 1, column 7: ',' or '}' expected, found ']'",
        ['{"a" 1}'] = "line 1, column 6: ':' expected, found '1'",
        ['{"a":1,}'] = "line 1, column 8: a key in quotes expected, found '}'",
        ["{a:1}"] = "line 1, column 2: a key in quotes expected, found 'a'",
        ["{\n  \"é\": tru\n}"] = "line 2, column 8: a value expected, found 't'",
        ["1 1"] = "line 1, column 3: the end of the text expected, found '1'",
        ["truex"] = "line 1, column 5: the end of the text expected, found 'x'",
        ["01"] = "line 1, column 1: number with a leading zero, found '0'",
        ["-"] = "line 1, column 2: a digit expected, found the end of the text",
        ["1."] = "line 1, column 3: a digit expected, found the end of the text",
        ["1.e1"] = "line 1, column 3: a digit expected, found 'e'",
        [".5"] = "line 1, column 1: a value expected, found '.'",
        ["+1"] = "line 1, column 1: a value expected, found '+'",
        ["1e"] = "line 1, column 3: a digit expected, found the end of the text",
        ["0x10"] = "line 1, column 2: the end of the text expected, found 'x'",
        ["NaN"] = "line 1, column 1: a value expected, found 'N'",
        ["Infinity"] = "line 1, column 1: a value expected, found 'I'",
        ["nan"] = "line 1, column 1: a value expected, found 'n'",
        ['"abc'] = "line 1, column 5: string without end, found the end of the text",
        ['"a\nb"'] = "line 1, column 3: control character in a string, found byte 0x0a",
        ['"a\0b"'] = "line 1, column 3: control character in a string, found byte 0x00",
        ["\0"] = "line 1, column 1: a value expected, found byte 0x00",
        ["1\0"] = "line 1, column 2: the end of the text expected, found byte 0x00",
        ['"\\x41"'] = "line 1, column 2: invalid escape, found '\\'",
        ['"\\'] = "line 1, column 2: invalid escape, found '\\'",
        ['"\\u12g4"'] = "line 1, column 2: \\u without four hexadecimal digits, found '\\'",
        ['"\\ud83d"'] = "line 1, column 2: escape of half a surrogate pair, found '\\'",
        ['"\\ud83d\\u0041"'] = "line 1, column 2: escape of half a surrogate pair, found '\\'",
        ['"\\ud83d\\u"'] = "line 1, column 2: escape of half a surrogate pair, found '\\'",
        ['"\\ude00"'] = "line 1, column 2: escape of half a surrogate pair, found '\\'",
        ["é"] = "line 1, column 1: a value expected, found 'é'",
        ["\xef\xbb\xbf1"] = "line 1, column 1: byte order mark, found '\u{feff}'",
      } do
        it(("%q"):format(text), function()
          local value, err = json.decode(text)
          assert.is_nil(value)
          assert.equal("json", err.kind)
          assert.equal(expected, err.message)
          assert.equal(expected, tostring(err))
          assert.is_true(err.offset >= err.column)
        end)
      end
    end)

    describe("what is no JSON data is refused with its path (S4.8):", function()
      local cycle = { a = { 1, {} } }
      cycle.a[2].up = cycle.a
      for expected, value in pairs {
        ["$: a function is not JSON data"] = print,
        ["$.a[3].b: a function is not JSON data"] = { a = { 1, 2, { b = print } } },
        ["$[1]: a thread is not JSON data"] = { coroutine.create(print) },
        ["$.x: a userdata is not JSON data"] = { x = io.stdout },
        ["$.x: NaN is not JSON data"] = { x = 0 / 0 },
        ["$.x: infinity is not JSON data"] = { x = math.huge },
        ["$: -infinity is not JSON data"] = -math.huge,
        ['$["a b"][2]["\\"\\x0a"]: a function is not JSON data'] = { ["a b"] = { 1, { ['"\n'] = print } } },
        ["$.a: the integer keys are not 1 to n: 2 is missing"] = { a = { 1, nil, 3 } },
        ["$: the integer keys are not 1 to n: 1 is missing"] = { [5] = true },
        ["$: the integer keys are not 1 to n: 0 is one of them"] = { [0] = true, 1, 2 },
        ["$: both integer keys and .x"] = { 1, 2, x = 3, y = 4 },
        ["$.b: both integer keys and .x"] = { b = { [7] = 1, x = 3 } },
        ["$: an array with .x"] = json.array { x = 1 },
        ["$: a key is a float; keys are strings, or 1 to n"] = { [1.5] = 1 },
        ["$: a key is a boolean; keys are strings, or 1 to n"] = { [true] = 1, a = 2 },
        ["$[1]: a table with __pairs is not JSON data"] = { setmetatable({}, { __pairs = pairs }) },
        ["$.a[2].up: a cycle: the table is also $.a"] = cycle,
      } do
        it(expected, function() assert.equal(expected, refused(value)) end)
      end

      it("the first in order, whatever the order in the table", function()
        for _ = 1, 20 do
          local value = {}
          for i = 20, 1, -1 do value[("k%02d"):format(i) .. ("x"):rep(math.random(0, 9))] = { print } end
          local first
          for key in pairs(value) do
            if not first or key < first then first = key end
          end
          assert.equal("$." .. first .. "[1]: a function is not JSON data", refused(value))
        end
      end)

      it("nil is no text, but a copy of nil is nil", function()
        assert.equal("$: nil is not JSON data; null is", select(2, json.encode(nil)).message)
        assert.same({ n = 1 }, table.pack(json.copy(nil)))
      end)

      it("arguments of the wrong type are misuse", function()
        assert.has_error(function() json.decode() end, "bad argument #1 to 'decode' (string expected, got nil)")
        assert.has_error(function() json.decode(1) end, "bad argument #1 to 'decode' (string expected, got number)")
      end)
    end)

    describe("nesting", function()
      it("goes to 1000 levels", function()
        for _, inner in ipairs { json.array(), { a = 1 } } do
          local value = nest(999, inner)
          local text = assert(json.encode(value))
          assert.equal(text, json.encode(json.decode(text)))
          assert.equal(text, json.encode(json.copy(value)))
        end
        local text = ('{"a":'):rep(1000) .. "1" .. ("}"):rep(1000)
        assert.equal(text, json.encode(json.decode(text)))
      end)

      it("and no further", function()
        assert.matches("^%$%[1%].* %.%.%. .*: nested too deeply, more than 1000 levels$", refused(nest(1000, {})))
        assert.equal("line 1, column 1001: nested too deeply, more than 1000 levels, found '['",
          tostring(select(2, json.decode(("["):rep(1001) .. ("]"):rep(1001)))))
        assert.equal(1001, select(2, json.decode(("["):rep(10000000))).offset)
      end)

      it("works in a coroutine with a small stack", function()
        assert.equal(3, coroutine.wrap(function() return #json.decode(json.encode { 1, json.copy { 2 }, nest(900, 1) }) end)())
      end)
    end)

    it("shared tables are copied as often as they occur", function()
      local shared = { 1 }
      local value = { a = shared, b = { shared, shared } }
      assert.equal('{"a":[1],"b":[[1],[1]]}', json.encode(value))
      local copy = json.copy(value)
      copy.a[1] = 2
      assert.equal('{"a":[2],"b":[[1],[1]]}', json.encode(copy))
      assert.equal(1, shared[1])
    end)

    it("metatables without __pairs do not matter", function()
      local value = setmetatable({ a = setmetatable({ 1 }, {}) }, { __index = { b = 2 }, __len = error, __newindex = error })
      assert.equal('{"a":[1]}', json.encode(value))
      assert.same({ a = { 1 } }, json.copy(value))
      assert.is_nil(getmetatable(json.copy(value)))
    end)

    it("10^5 random values come back as they were (D22)", function()
      local seed = os.time()
      math.randomseed(seed)
      local random = math.random
      local limits = { 0, 1, -1, 2 ^ 53, -2 ^ 53, 2 ^ 63, -2 ^ 63, 0.0, -0.0, 1e15, 1e16, 1e-5, 5e-324, 2 ^ -1022, 2 ^ -1022 - 5e-324,
        1.7976931348623157e308, math.maxinteger, math.mininteger, 999999999999999, 1000000000000000, (1 << 53) + 1, 0.1, 1 / 3 }
      local pieces = { "\0", "\"", "\\", "/", "\n", "\127", "é", "ÿ", "€", "😀", "\u{ffff}", "[", "i", "d", "\\u", "1e5", "null" }
      local function text()
        local parts = {}
        for i = 1, random(0, 6) do
          parts[i] = random(3) == 1 and pieces[random(#pieces)] or ("abcdefghijklm"):rep(random(1, 3)):sub(random(1, 13))
        end
        return table.concat(parts)
      end
      local function any(depth)
        local choice = random(depth > 0 and 12 or 8)
        if choice == 1 then return random(0)
        elseif choice == 2 then return random(-1000000, 1000000)
        elseif choice == 3 then
          local x = string.unpack("d", string.pack("j", random(0)))
          return x - x == 0 and x or 0.5
        elseif choice == 4 then return random(-10000, 10000) / 100
        elseif choice == 5 then return limits[random(#limits)]
        elseif choice == 6 then return random(3) == 1 and json.null or random(2) == 1
        elseif choice <= 8 then return text()
        elseif choice <= 10 then
          local t = json.array()
          for i = 1, random(0, 5) do t[i] = any(depth - 1) end
          return t
        end
        local t = {}
        for _ = 1, random(0, 5) do t[text()] = any(depth - 1) end
        return t
      end
      for i = 1, 50000 do
        local value = any(3)
        local written = json.encode(value)
        local read = json.decode(written)
        local copy = json.copy(value)
        if not (same(value, read) and same(value, copy) and arrays_marked(read) and json.encode(read) == written) then
          error(("seed %d, value %d: %s"):format(seed, i, written))
        end
      end
    end)
  end)
end

describe("the program's own cjson", function()
  it("is neither used nor changed", function()
    cjson.encode_number_precision(3)
    cjson.decode_max_depth(2)
    cjson.encode_max_depth(2)
    cjson.encode_invalid_numbers(true)
    cjson.decode_invalid_numbers(false)
    core.use(cjson)
    assert.equal("[[[[3.14159]]]]", json.encode(json.decode "[[[[3.14159]]]]"))
    assert.is_nil(json.encode(0 / 0))
    assert.equal(3, cjson.encode_number_precision())
    assert.equal(2, cjson.decode_max_depth())
    assert.has_error(function() cjson.decode "[[[[1]]]]" end)
    cjson.encode_number_precision(14)
    cjson.decode_max_depth(1000)
    cjson.encode_max_depth(1000)
    cjson.encode_invalid_numbers(false)
    cjson.decode_invalid_numbers(true)
  end)
end)

it("time grows in proportion to the text", function()
  local function seconds(n)
    local text = "[" .. ('{"a":[1.5,[],"x\\n"]},'):rep(n) .. "0]"
    local start = os.clock()
    local value = json.decode(text)
    assert.equal(#text, #json.encode(value))
    return os.clock() - start
  end
  seconds(1000)
  local small = seconds(20000)
  assert.is_true(seconds(160000) < 8 * 4 * math.max(small, 0.01))
end)
