--- URI references as `$id` and `$ref` use them (RFC 3986), and the JSON pointers in their fragments (RFC 6901).

local M = {}

--- The parts of a reference; scheme, authority, query and fragment are nil where they are absent.
local function split(text)
  local rest, fragment = text:match "^([^#]*)#?(.*)$"
  if not text:find("#", 1, true) then fragment = nil end
  local before, query = rest:match "^([^?]*)%?(.*)$"
  rest = before or rest
  local scheme, after = rest:match "^(%a[%w+.-]*):(.*)$"
  rest = after or rest
  local authority, path = rest:match "^//([^/]*)(.*)$"
  return scheme, authority, path or rest, query, fragment
end

--- Removes "." and ".." (RFC 3986, 5.2.4).
local function without_dots(path)
  if not path:find("%.") then return path end
  local kept, rooted = {}, path:sub(1, 1) == "/"
  local last
  for segment in path:gmatch "[^/]*" do
    last = segment
    if segment == ".." then
      kept[#kept] = nil
    elseif segment ~= "." then
      kept[#kept + 1] = segment
    end
    if rooted and #kept == 0 then kept[1] = "" end  -- what stands before the first "/"
  end
  if last == "." or last == ".." then kept[#kept + 1] = "" end
  return table.concat(kept, "/")
end

local function join(scheme, authority, path, query)
  return (scheme and scheme .. ":" or "") .. (authority and "//" .. authority or "") .. path .. (query and "?" .. query or "")
end

--- Resolves a reference against a base (RFC 3986, 5.2.2; an empty base is allowed).
---@param base string        without a fragment
---@param reference string
---@return string uri        without its fragment
---@return string fragment   as written, "" when absent
function M.resolve(base, reference)
  local scheme, authority, path, query, fragment = split(reference)
  fragment = fragment or ""
  if scheme then return join(scheme, authority, without_dots(path), query), fragment end
  if not authority and path == "" and not query then return base, fragment end
  local base_scheme, base_authority, base_path, base_query = split(base)
  if authority then return join(base_scheme, authority, without_dots(path), query), fragment end
  if path == "" then return join(base_scheme, base_authority, base_path, query or base_query), fragment end
  if path:sub(1, 1) ~= "/" then
    if base_authority and base_path == "" then
      path = "/" .. path
    else
      path = base_path:match "^.*/" and base_path:match "^.*/" .. path or path
    end
  end
  return join(base_scheme, base_authority, without_dots(path), query), fragment
end

--- A URI without a fragment that is empty: "http://json-schema.org/schema#" is the document itself.
---@param text string
---@return string
function M.document(text)
  return (text:gsub("#$", ""))
end

--- A fragment with its percent signs decoded.
---@param fragment string
---@return string
function M.decode(fragment)
  return (fragment:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- A key as a segment of a JSON pointer.
---@param key string|integer
---@return string
function M.escape(key)
  return (tostring(key):gsub("[~/]", { ["~"] = "~0", ["/"] = "~1" }))
end

--- The keys of a JSON pointer, or nil when it is none.
---@param pointer string
---@return string[]?
function M.keys(pointer)
  local keys = {}
  if pointer == "" then return keys end
  if pointer:sub(1, 1) ~= "/" or pointer:find "~[^01]" or pointer:find "~$" then return nil end
  for segment in pointer:gmatch "/([^/]*)" do
    keys[#keys + 1] = segment:gsub("~1", "/"):gsub("~0", "~")
  end
  return keys
end

return M
