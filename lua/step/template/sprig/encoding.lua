--- sprig's encodings and checksums.

local base = require "step.template.base"
local define = require("step.template.signature").define
local digest = require "step.template.digest"
local state = require "step.template.state"

local M = {}

-- A text that cannot be decoded gives the error as the text, as sprig does.
local function decoder(decode)
  return define("string -> string", function(_, s)
    local data, problem = decode(s)
    return data or problem
  end)
end

M.b64enc = define("string -> string", function(_, s) return base.encode64(s) end)
M.b64dec = decoder(base.decode64)
M.b32enc = define("string -> string", function(_, s) return base.encode32(s) end)
M.b32dec = decoder(base.decode32)

local function checksum(sum)
  return define("string -> string", function(st, s)
    state.spend(st, #s // 8)
    return sum(s)
  end)
end

M.sha1sum = checksum(digest.sha1)
M.sha256sum = checksum(digest.sha256)
M.sha512sum = checksum(digest.sha512)
M.adler32sum = checksum(function(s) return ("%d"):format(digest.adler32(s)) end)

return M
