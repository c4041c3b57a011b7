--- The configuration of a runner that takes an object of known fields: read over its base configuration, checked, its aliases
-- resolved, each value in the form in which the runner uses it.
--
-- A definition is checked while templates and Lua functions still stand in it: what they give is known only when the action runs,
-- and checked then. A template always gives a text: a field that takes no text takes no template either, and numbers, durations
-- and true and false are taken as texts, too. An empty text, what a template makes of an input that was not given, is no value.

local duration = require "step.duration"
local errors = require "step.error"
local expr = require "step.expr"
local json = require "step.json"
local suggest = require "step.suggest"
local tolerance = require "step.tolerance"

local M = {}

---@class step.settings.Kind
---@field read fun(value: any, field: step.settings.Field, checking: boolean): any, string?, string?
--- the value as the runner uses it, or nil, what is wrong, and where inside of the value
---@field template? boolean   what a template gives can be read
---@field merge? boolean      an object, laid over the one of the base configuration

---@class step.settings.Field
---@field kind? string|step.settings.Kind   one of those below, or the runner's own; of another name of a field: none
---@field required? string      what is expected where it is missing
---@field accepted? string[]    the texts it may be
---@field number? boolean       of a text: a number will do
---@field from? integer         of a count: the least one; default 0
---@field zero? boolean         of a span: it may be 0
---@field is? string            the field that this is another name of
---@field json? string          the field that this is the JSON text of

---@class step.settings.Options
---@field check? fun(set: table, open: table<string, boolean>, place?: { file?: string }): string?
--- judges the values that are known, together: what is wrong. `open` has the names of those known only later; `place`, of the
--- definition, is given while it is checked
---@field others? boolean       fields that are not known are passed over, as with µTask, unless they look like a typing error

---@class step.settings.Reader
---@field valid_config fun(base_config: any, config: any, place?: { file?: string }): boolean?, string?   as a runner has it
---@field read fun(base_config: any, config: any): table<string, any>
--- the values by the fields' own names, when the action runs; raises what is wrong as a bad request

local function present(value) return value ~= nil and value ~= json.null end

local function is_object(value) return type(value) == "table" and not json.is_array(value) end

local function is_list(value) return type(value) == "table" and (json.is_array(value) or next(value) == nil) end

--- A number where its text stands.
local function number_of(value) return type(value) == "string" and tonumber(value) or value end

--- The keys of a table in an order that is no chance; `rank` tells which keys come first.
local function sorted(t, rank)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    local x, y = rank and rank(a) or 0, rank and rank(b) or 0
    if x ~= y then return x < y end
    return tostring(a) < tostring(b)
  end)
  return keys
end

--- Whether a value is known only when the action runs.
---@param value any
---@return boolean
function M.is_open(value)
  return type(value) == "function" or type(value) == "string" and value:find("{{", 1, true) ~= nil
end

--- For the reader of a kind: refuses a value.
---@param what string     "a list of texts"
---@param found any
---@return nil
---@return string message
function M.refuse(what, found) return nil, ("%s is expected, found %s"):format(what, errors.show(found)) end

local refuse = M.refuse

local NONE = {} -- the field of an item: it has no options

--- Reads an item of a list or an object.
local function read_item(kind, item, checking)
  if checking and (type(item) == "function" or kind.template and M.is_open(item)) then return item end
  return kind.read(item, NONE, checking)
end

--- The kind of a list whose items are of a kind.
---@param what string               "texts"
---@param kind step.settings.Kind   of the items
---@return step.settings.Kind
function M.list_of(what, kind)
  return { read = function(value, _, checking)
    if not is_list(value) then return refuse("a list of " .. what, value) end
    local list = json.array()
    for i, item in ipairs(value) do
      local made, message, inside = read_item(kind, item, checking)
      if made == nil then return nil, message, ("[%d]%s"):format(i, inside or "") end
      list[i] = made
    end
    return list
  end }
end

--- The kind of an object whose values are of a kind; null is an empty text among them.
---@param what string               "texts"
---@param kind step.settings.Kind   of the values
---@return step.settings.Kind
function M.object_of(what, kind)
  return { merge = true, read = function(value, _, checking)
    if not is_object(value) then return refuse("an object of " .. what, value) end
    local object = {}
    for _, name in ipairs(sorted(value)) do
      local item = value[name]
      local made, message, inside = read_item(kind, item == json.null and "" or item, checking)
      if made == nil then return nil, message, (".%s%s"):format(name, inside or "") end
      object[name] = made
    end
    return object
  end }
end

-- ---- kinds ----

local KINDS = {} ---@type table<string, step.settings.Kind>

--- By their names.
M.KINDS = KINDS

KINDS.any = { template = true, read = function(value) return value end }

KINDS.ignored = { read = KINDS.any.read } -- what µTask's users write and nothing here looks at

KINDS.text = { template = true, read = function(value, field)
  if field.number and type(value) == "number" then return tostring(value) end
  if type(value) ~= "string" then return nil, "a text is expected, found " .. errors.show_text(value) end
  return value
end }

--- What stands for its text.
KINDS.word = { template = true, read = function(value)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then return refuse("a text", value) end
  return tostring(value)
end }

KINDS.boolean = { template = true, read = function(value)
  if value == "true" then return true end
  if value == "false" then return false end
  if type(value) ~= "boolean" then return refuse("true or false", value) end
  return value
end }

KINDS.count = { template = true, read = function(value, field)
  local least, number = field.from or 0, number_of(value)
  local count = type(number) == "number" and math.tointeger(number)
  if not count or count < least then return refuse(("a whole number from %d"):format(least), value) end
  return count
end }

--- A span of time, in seconds.
KINDS.span = { template = true, read = function(value, field)
  local seconds, message = duration.span(number_of(value), field.zero)
  if not seconds then return nil, ("%s, found %s"):format(message, errors.show(value)) end
  return seconds
end }

--- How many of several may fail: a function of their number.
KINDS.tolerance = { template = true, read = function(value)
  local amount, percent = tolerance.read(number_of(value))
  if not amount then return nil, ("%s, found %s"):format(percent, errors.show(value)) end
  return function(n) return tolerance.of(amount, percent --[[@as boolean]], n) end
end }

KINDS.object = { merge = true, read = function(value)
  if not is_object(value) then return refuse("an object", value) end
  return value
end }

KINDS.objects = M.list_of("objects", KINDS.object)
KINDS.texts = M.object_of("texts", KINDS.text)
KINDS.words = M.list_of("texts", KINDS.word)

-- ---- configurations ----

--- A name that a configuration may have.
---@class step.settings.Slot
---@field own string                   the name of the field itself
---@field field step.settings.Field    the field itself
---@field kind step.settings.Kind
---@field json boolean                 it holds the JSON text of the field
---@field template boolean             a template may stand in it
---@field rank integer                 of several names of a field the one that counts has the highest

local function slots_of(fields)
  local slots = {}
  for name, field in pairs(fields) do
    local own = field.json or field.is or name
    local kind = KINDS[fields[own].kind] or fields[own].kind
    slots[name] = {
      own = own, field = fields[own], kind = kind, json = field.json ~= nil, template = field.json ~= nil or kind.template == true,
      rank = field.is and 1 or field.json and 3 or 2,
    }
  end
  return slots
end

--- Reads what stands in a slot: the value of its field; nil, what is wrong and where inside of it.
local function read_slot(slot, value, checking)
  if slot.json then
    if type(value) ~= "string" then return KINDS.text.read(value, NONE, checking) end
    local err
    value, err = json.decode(value)
    if value == nil then return nil, tostring(err) end
  end
  local made, message, inside = slot.kind.read(value, slot.field, checking)
  if made == nil then return nil, message, inside end
  local accepted = slot.field.accepted
  for i, word in ipairs(accepted or NONE) do
    if word == made then break end
    if i == #accepted then
      return nil, ("found %s; accepted: %s%s"):format(errors.show(value), table.concat(accepted, ", "), suggest.hint(value, accepted))
    end
  end
  return made
end

--- Makes what reads the configurations of a runner.
---@param fields table<string, step.settings.Field>
---@param options? step.settings.Options
---@return step.settings.Reader
function M.reader(fields, options)
  local others, judge = options and options.others, options and options.check
  local slots = slots_of(fields)
  local order = sorted(slots, function(name) return slots[name].rank end)
  local names, json_of = {}, {}
  for _, name in ipairs(sorted(slots)) do
    local slot = slots[name]
    if slot.kind ~= KINDS.ignored then names[#names + 1] = name end
    if slot.json then json_of[slot.own] = json_of[slot.own] or name end
  end

  --- What is wrong with the names in a configuration.
  local function check_names(source)
    local unknown
    for name in pairs(source) do
      if not slots[name] then
        unknown = unknown or {}
        unknown[name] = true
      end
    end
    for _, name in ipairs(unknown and sorted(unknown) or NONE) do
      local near = suggest.hint(name, names)
      if near ~= "" or not others then
        return ("unknown field '%s'; accepted: %s%s"):format(name, table.concat(names, ", "), near)
      end
    end
  end

  --- Reads one value into the settings; what is wrong.
  local function take(set, open, name, value, checking)
    local slot = slots[name]
    local own = slot.own
    if slot.kind == KINDS.ignored or slot.json and value == "" then return nil end
    if value == "" and slot.template and slot.kind ~= KINDS.any then
      set[own], open[own] = nil, nil
    elseif checking and (type(value) == "function" or slot.template and M.is_open(value)) then
      set[own], open[own] = nil, true
    else
      local made, message, inside = read_slot(slot, value, checking)
      if made == nil then
        local hint = ""
        if checking and not slot.template and M.is_open(value) then
          hint = (" (a template gives a text%s)"):format(json_of[own] and "; its JSON text can stand in " .. json_of[own] or "")
        end
        return ("%s%s: %s%s"):format(name, inside or "", message, hint)
      end
      set[own], open[own] = slot.kind.merge and set[own] and expr.merge(set[own], made) or made, nil
    end
  end

  --- Reads a configuration over what was read before; what is wrong.
  local function lay(set, open, source, checking)
    if not present(source) then return nil end
    if not is_object(source) then return "the configuration: an object is expected, found " .. errors.show(source) end
    local message = check_names(source)
    if message then return message end
    for _, name in ipairs(order) do
      local value = source[name]
      if present(value) then
        message = take(set, open, name, value, checking)
        if message then return message end
      end
    end
  end

  --- What is missing.
  local function missing(set, open)
    for _, name in ipairs(names) do
      local wanted = fields[name].required
      if wanted and set[name] == nil and not open[name] then return ("%s: %s is expected"):format(name, wanted) end
    end
  end

  --- The settings; nil and what is wrong. `place` is given while a definition is checked.
  local function read(base_config, config, place)
    local set, open = {}, {}
    local message = lay(set, open, base_config, place ~= nil) or lay(set, open, config, place ~= nil) or missing(set, open)
      or judge and judge(set, open, place)
    if message then return nil, message end
    return set
  end

  return {
    valid_config = function(base_config, config, place)
      local set, message = read(base_config, config, place or {})
      return set and true, message
    end,
    read = function(base_config, config)
      local set, message = read(base_config, config)
      if not set then error(errors.bad_request(message)) end
      return set
    end,
  }
end

return M
