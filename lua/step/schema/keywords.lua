--- The keywords: each makes the check of one keyword in one schema.
--
-- make(build, node, argument, keyword) -> check, or nil when it accepts everything. Checks are called as state.lua says.

local errors = require "step.error"
local format = require "step.schema.format"
local json = require "step.json"
local pattern = require "step.schema.pattern"
local states = require "step.schema.state"
local suggest = require "step.suggest"
local value_of = require "step.schema.value"

local accept, findings_of, pointer, quietly = states.accept, states.findings_of, states.pointer, states.quietly
local report, report_mismatch, stop = states.report, states.report_mismatch, states.stop
local show = errors.show

local M = {}

local MOST = 60 -- bytes of a list or an object that are shown

--- A value beside another one: of two objects it tells which.
local function show_whole(value)
  local text = type(value) == "table" and json.encode(value)
  return text and #text <= MOST and text or show(value)
end

local function list_of(names)
  return table.concat(names, ", ")
end

local function bound(fails, words)
  return function(_, node, limit, keyword)
    return function(value, state, depth)
      if not fails(value, limit) then return true end
      return state.findings and report(state, depth, node, keyword, ("%s %s %s"):format(show(value), words, show(limit)))
    end
  end
end

local function more(a, b) return a > b end
local function less(a, b) return a < b end
local function more_or_equal(a, b) return a >= b end
local function less_or_equal(a, b) return a <= b end

local maximum, minimum = bound(more, "is more than"), bound(less, "is less than")
local exclusive_maximum = bound(more_or_equal, "is not less than")
local exclusive_minimum = bound(less_or_equal, "is not more than")

--- In draft 4 the exclusive bounds are flags beside the others.
local function limit(plain, exclusive, flag)
  return function(build, node, argument, keyword)
    local make = node.draft == 4 and node.value[flag] == true and exclusive or plain
    return make(build, node, argument, keyword)
  end
end

local function multiple_of(_, node, divisor, keyword)
  return function(value, state, depth)
    if value_of.is_multiple(value, divisor) then return true end
    return state.findings and report(state, depth, node, keyword, ("%s is no multiple of %s"):format(show(value), show(divisor)))
  end
end

local function plural(n, one, many)
  n = math.tointeger(n) or n
  return ("%s %s"):format(n, n == 1 and one or many)
end

local function max_length(_, node, most, keyword)
  return function(value, state, depth)
    if #value <= most then return true end
    local length = utf8.len(value) or #value
    if length <= most then return true end
    return state.findings and report(state, depth, node, keyword,
      ("%s, at most %s accepted"):format(plural(length, "character", "characters"), plural(most, "is", "are")))
  end
end

local function min_length(_, node, least, keyword)
  return function(value, state, depth)
    local length = #value
    if length >= least then
      length = utf8.len(value) or length
      if length >= least then return true end
    else
      length = utf8.len(value) or length
    end
    return state.findings and report(state, depth, node, keyword,
      ("%s, at least %s needed"):format(plural(length, "character", "characters"), plural(least, "is", "are")))
  end
end

--- A compiled pattern, or nil after the problem was reported.
local function compiled(build, node, keyword, source)
  local found, message = pattern.compile(source)
  if found then return found end
  build.problem(node, keyword, ("the regular expression %s does not compile: %s"):format(show(source), message))
  return nil
end

local function matches_pattern(build, node, source, keyword)
  local wanted = compiled(build, node, keyword, source)
  return wanted and function(value, state, depth)
    local found, message = wanted:matches(value)
    if found then return true end
    if message then return stop(state, depth, message) end
    return state.findings and report(state, depth, node, keyword, ("%s does not match %s"):format(show(value), source))
  end
end

local function has_format(build, node, name, keyword)
  local is = build.formats and format.formats[name]
  return is and function(value, state, depth)
    if is(value) then return true end
    return state.findings and report(state, depth, node, keyword, ("%s is no %s"):format(show(value), name))
  end
end

local function constant(_, node, expected, keyword)
  return function(value, state, depth)
    if value_of.equal(value, expected) then return true end
    if not state.findings then return false end
    return report(state, depth, node, keyword, ("expected %s, but got %s"):format(show_whole(expected), show_whole(value)))
  end
end

local function enumeration(_, node, members, keyword)
  local scalars, tables, names, kinds = {}, {}, {}, {}
  for i = 1, #members do
    local member = members[i]
    kinds[value_of.kind(member)] = true
    if type(member) == "table" then tables[#tables + 1] = member else scalars[member] = true end
    if type(member) == "string" then names[#names + 1] = member end
  end
  return function(value, state, depth)
    if type(value) == "table" then
      for _, member in ipairs(tables) do
        if value_of.equal(value, member) then return true end
      end
    elseif value == nil and scalars[value_of.null] or value ~= nil and scalars[value] then
      return true
    end
    if not state.findings then return false end
    local shown = {}
    for i = 1, math.min(#members, 10) do shown[i] = show_whole(members[i]) end
    if #members > 10 then shown[11] = "..." end
    local near = type(value) == "string" and suggest.nearest(value, names)
    local message = ("expected %s%s, but got %s"):format(#members > 1 and "one of " or "", list_of(shown), show_whole(value))
    if not kinds[value_of.kind(value)] then return report_mismatch(state, depth, node, keyword, message) end
    return report(state, depth, node, keyword, near and ("%s (did you mean '%s'?)"):format(message, near) or message)
  end
end

-- ---- arrays ----

local function items(build, node)
  local at = node.at.items
  if at == nil then return nil end
  local first, rest = {}, accept
  if at.at then               -- one schema for all
    rest = build:check(at)
  else
    for i, child in ipairs(at) do first[i] = build:check(child) end
    if node.at.additionalItems then rest = build:check(node.at.additionalItems) end
  end
  local given = #first
  if given == 0 and rest == accept then return nil end
  local refused = node.at.additionalItems and node.at.additionalItems.value == false
  return function(value, state, depth, level)
    local path, good, n = state.path, true, rawlen(value)
    if refused and n > given and not at.at then
      if state.findings then
        report(state, depth, node, "additionalItems",
          ("%s, at most %s accepted"):format(plural(n, "item", "items"), plural(given, "is", "are")))
      end
      good, n = false, given
    end
    for i = 1, rest == accept and math.min(n, given) or n do
      if not good and not state.findings then return false end
      path[depth + 1] = i - 1
      good = (first[i] or rest)(rawget(value, i), state, depth + 1, level + 1) and good
    end
    return good
  end
end

local function contains(build, node)
  local check = build:check(node.at.contains)
  return function(value, state, depth, level)
    local path = state.path
    for i = 1, rawlen(value) do
      path[depth + 1] = i - 1
      if quietly(check, rawget(value, i), state, depth + 1, level + 1) then return true end
    end
    return state.findings and report(state, depth, node, "contains", "no item matches the schema of contains")
  end
end

local function max_items(_, node, most, keyword)
  return function(value, state, depth)
    local n = rawlen(value)
    if n <= most then return true end
    return state.findings
      and report(state, depth, node, keyword, ("%s, at most %s accepted"):format(plural(n, "item", "items"), plural(most, "is", "are")))
  end
end

local function min_items(_, node, least, keyword)
  return function(value, state, depth)
    local n = rawlen(value)
    if n >= least then return true end
    return state.findings
      and report(state, depth, node, keyword, ("%s, at least %s needed"):format(plural(n, "item", "items"), plural(least, "is", "are")))
  end
end

local function unique_items(_, node, wanted, keyword)
  return wanted and function(value, state, depth)
    local n = rawlen(value)
    if n < 2 then return true end
    local scalars, tables = {}, {}
    for i = 1, n do
      local item, seen = rawget(value, i), scalars
      if type(item) == "table" then
        item, seen = value_of.canonical(item), tables
        if not item then return stop(state, depth, "the value is nested too deeply") end
      end
      if item ~= item then item = nil end
      local before = item ~= nil and seen[item]
      if before then
        return state.findings and report(state, depth, node, keyword, ("the items %d and %d are equal"):format(before - 1, i - 1))
      end
      if item ~= nil then seen[item] = i end
    end
    return true
  end or nil
end

-- ---- objects ----

local function count_of(object)
  local n = 0
  for _ in next, object do n = n + 1 end
  return n
end

local function max_properties(_, node, most, keyword)
  return function(value, state, depth)
    local n = count_of(value)
    if n <= most then return true end
    return state.findings and report(state, depth, node, keyword,
      ("%s, at most %s accepted"):format(plural(n, "property", "properties"), plural(most, "is", "are")))
  end
end

local function min_properties(_, node, least, keyword)
  return function(value, state, depth)
    local n = count_of(value)
    if n >= least then return true end
    return state.findings and report(state, depth, node, keyword,
      ("%s, at least %s needed"):format(plural(n, "property", "properties"), plural(least, "is", "are")))
  end
end

local function missing(value, names)
  local found = {}
  for _, name in ipairs(names) do
    if rawget(value, name) == nil then found[#found + 1] = show(name) end
  end
  return (#found == 1 and "missing property " or "missing properties ") .. list_of(found)
end

local function required(_, node, names, keyword)
  if type(names) ~= "table" or #names == 0 then return nil end
  return function(value, state, depth)
    for i = 1, #names do
      if rawget(value, names[i]) == nil then
        return state.findings and report(state, depth, node, keyword, missing(value, names))
      end
    end
    return true
  end
end

local function properties(build, node)
  local names, checks = {}, {}
  for _, name in ipairs(value_of.keys(node.at.properties)) do
    local check = build:check(node.at.properties[name])
    if check ~= accept then names[#names + 1], checks[#checks + 1] = name, check end
  end
  if #names == 0 then return nil end
  return function(value, state, depth, level)
    local path, good = state.path, true
    for i = 1, #names do
      local below = rawget(value, names[i])
      if below ~= nil then
        path[depth + 1] = names[i]
        if not checks[i](below, state, depth + 1, level + 1) then
          if not state.findings then return false end
          good = false
        end
      end
    end
    return good
  end
end

--- The keys of an object in a fixed order when findings are collected, else as they come.
local function each_key(value, state)
  if not state.findings then return next, value end
  local keys, i = value_of.keys(value), 0
  for key in next, value do
    if type(key) ~= "string" then keys[#keys + 1] = key end
  end
  return function()
    i = i + 1
    if keys[i] ~= nil then return keys[i], rawget(value, keys[i]) end
  end
end

--- Reports a key that no object of JSON has.
local function wrong_key(state, depth, node, key)
  return state.findings and report(state, depth, node, nil, ("the key %s is no string"):format(show(key)))
end

--- patternProperties and additionalProperties: what is said about properties that have no fixed name.
local function other_properties(build, node)
  local known = node.at.properties or {}
  local additional, refused = accept, false
  if node.at.additionalProperties then
    additional, refused = build:check(node.at.additionalProperties), node.at.additionalProperties.value == false
  end
  local patterns, checks = {}, {}
  for _, source in ipairs(value_of.keys(node.at.patternProperties or {})) do
    local child = node.at.patternProperties[source]
    local wanted, check = compiled(build, node, "patternProperties", source), build:check(child)
    if wanted and (check ~= accept or additional ~= accept) then
      patterns[#patterns + 1], checks[#checks + 1] = wanted, check
    end
  end
  if #patterns == 0 and additional == accept then return nil end
  local names = refused and value_of.keys(known)
  return function(value, state, depth, level)
    local path, good = state.path, true
    for key, below in each_key(value, state) do
      if type(key) ~= "string" then return wrong_key(state, depth, node, key) end
      path[depth + 1] = key
      local other, fine = known[key] == nil, true
      for i = 1, #patterns do
        local found, message = patterns[i]:matches(key)
        if message then return stop(state, depth + 1, message) end
        if found then
          other = false
          fine = checks[i](below, state, depth + 1, level + 1) and fine
          path[depth + 1] = key
        end
      end
      if other and refused then
        local near = state.findings and suggest.nearest(key, names)
        fine = state.findings and report(state, depth + 1, node, "additionalProperties",
          "this property is not accepted" .. (near and (" (did you mean '%s'?)"):format(near) or ""))
      elseif other then
        fine = additional(below, state, depth + 1, level + 1)
      end
      if not fine then
        if not state.findings then return false end
        good = false
      end
    end
    return good
  end
end

--- The same where there are no patterns.
local function other_properties_alone(build, node)
  if node.value.patternProperties ~= nil then return nil end
  return other_properties(build, node)
end

local function property_names(build, node)
  local check = build:check(node.at.propertyNames)
  if check == accept then return nil end
  return function(value, state, depth, level)
    local good = true
    for key in each_key(value, state) do
      if type(key) ~= "string" then return wrong_key(state, depth, node, key) end
      if not quietly(check, key, state, depth, level + 1) then
        if not state.findings then return false end
        report(state, depth, node, "propertyNames", ("the property name %s is not accepted"):format(show(key)),
          findings_of(check, key, state, depth, level + 1))
        good = false
      end
    end
    return good
  end
end

local function dependencies(build, node, argument)
  local names, needs = value_of.keys(argument), {}
  for _, name in ipairs(names) do
    local child = node.at.dependencies[name]
    needs[name] = child and build:same(node, child) or argument[name]
  end
  return function(value, state, depth, level)
    local good = true
    for i = 1, #names do
      local name = names[i]
      local need = rawget(value, name) ~= nil and needs[name]
      local fine = true
      if type(need) == "function" then
        fine = need(value, state, depth, level + 1)
      elseif need then
        for j = 1, #need do
          if rawget(value, need[j]) == nil then
            fine = state.findings
              and report(state, depth, node, "dependencies", ("%s, which %s needs"):format(missing(value, need), show(name)))
            break
          end
        end
      end
      if not fine then
        if not state.findings then return false end
        good = false
      end
    end
    return good
  end
end

-- ---- schemas applied to the same value ----

local function all_of(build, node)
  local checks = {}
  for _, child in ipairs(node.at.allOf) do checks[#checks + 1] = build:same(node, child) end
  return function(value, state, depth, level)
    local good = true
    for i = 1, #checks do
      if not checks[i](value, state, depth, level + 1) then
        if not state.findings then return false end
        good = false
      end
    end
    return good
  end
end

--- Reports why none of several schemas matched. Those that want another type of value say nothing about this one; when
-- one schema is left, its findings are the answer.
local function explain(checks, node, keyword, value, state, depth, level)
  local here, relevant, all = pointer(state.path, depth), {}, {}
  for _, check in ipairs(checks) do
    local own = findings_of(check, value, state, depth, level + 1)
    local first = own[1]
    if not (#own == 1 and states.is_mismatch(first) and first.instance == here) then relevant[#relevant + 1] = own end
    table.move(own, 1, #own, #all + 1, all)
  end
  if #relevant == 1 and #relevant[1] > 0 then
    table.move(relevant[1], 1, #relevant[1], #state.findings + 1, state.findings)
    return false
  end
  return report(state, depth, node, keyword, ("matches none of the %d schemas of %s"):format(#checks, keyword), all)
end

local function any_of(build, node)
  local checks = {}
  for _, child in ipairs(node.at.anyOf) do checks[#checks + 1] = build:same(node, child) end
  return function(value, state, depth, level)
    local findings = state.findings
    state.findings = nil
    for i = 1, #checks do
      if checks[i](value, state, depth, level + 1) then
        state.findings = findings
        return true
      end
    end
    state.findings = findings
    return findings and explain(checks, node, "anyOf", value, state, depth, level)
  end
end

local function one_of(build, node)
  local checks = {}
  for _, child in ipairs(node.at.oneOf) do checks[#checks + 1] = build:same(node, child) end
  return function(value, state, depth, level)
    local matched
    for i = 1, #checks do
      if quietly(checks[i], value, state, depth, level + 1) then
        if matched then
          return state.findings and report(state, depth, node, "oneOf",
            ("matches more than one schema of oneOf, %d and %d"):format(matched - 1, i - 1))
        end
        matched = i
      end
    end
    if matched then return true end
    return state.findings and explain(checks, node, "oneOf", value, state, depth, level)
  end
end

local function no(build, node)
  local check = build:same(node, node.at["not"])
  return function(value, state, depth, level)
    if not quietly(check, value, state, depth, level + 1) then return true end
    return state.findings and report(state, depth, node, "not", "matches the schema of not")
  end
end

local function condition(build, node)
  local when = build:same(node, node.at["if"])
  local yes = node.at["then"] and build:same(node, node.at["then"]) or accept
  local otherwise = node.at["else"] and build:same(node, node.at["else"]) or accept
  if yes == accept and otherwise == accept then return nil end
  return function(value, state, depth, level)
    local check = quietly(when, value, state, depth, level + 1) and yes or otherwise
    return check(value, state, depth, level + 1)
  end
end

local NUMBERS, STRINGS, ARRAYS, OBJECTS = { "integer", "number" }, { "string" }, { "array" }, { "object" }

--- In the order in which they are applied and reported: the name, the kinds of values it is about (nil: all), what makes it,
-- and the draft it came with. Some look at their neighbours; those that say nothing alone are not here, `type` is in build.lua.
M.list = {
  { "enum", nil, enumeration }, { "const", nil, constant, from = 6 },
  { "multipleOf", NUMBERS, multiple_of },
  { "maximum", NUMBERS, limit(maximum, exclusive_maximum, "exclusiveMaximum") },
  { "exclusiveMaximum", NUMBERS, exclusive_maximum, from = 6 },
  { "minimum", NUMBERS, limit(minimum, exclusive_minimum, "exclusiveMinimum") },
  { "exclusiveMinimum", NUMBERS, exclusive_minimum, from = 6 },
  { "maxLength", STRINGS, max_length }, { "minLength", STRINGS, min_length }, { "pattern", STRINGS, matches_pattern },
  { "format", STRINGS, has_format },
  { "maxItems", ARRAYS, max_items }, { "minItems", ARRAYS, min_items }, { "uniqueItems", ARRAYS, unique_items },
  { "items", ARRAYS, items }, { "contains", ARRAYS, contains, from = 6 },
  { "maxProperties", OBJECTS, max_properties }, { "minProperties", OBJECTS, min_properties }, { "required", OBJECTS, required },
  { "properties", OBJECTS, properties },
  { "patternProperties", OBJECTS, other_properties }, { "additionalProperties", OBJECTS, other_properties_alone },
  { "dependencies", OBJECTS, dependencies },
  { "propertyNames", OBJECTS, property_names, from = 6 },
  { "if", nil, condition, from = 7 }, { "allOf", nil, all_of }, { "anyOf", nil, any_of }, { "oneOf", nil, one_of }, { "not", nil, no },
}

return M
