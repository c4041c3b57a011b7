--- sprig's cryptography: AES, and the names of what is not here, with the reason.

local aes = require "step.template.aes"
local base = require "step.template.base"
local define = require("step.template.signature").define
local sources = require "step.template.sources"
local state = require "step.template.state"

local M = {}

-- The password itself, cut or filled with zeros, is the key.
local function key_of(password) return (password .. ("\0"):rep(32)):sub(1, 32) end

M.encryptAES = define("string, string -> string", function(st, password, text)
  if text == "" then return "" end
  state.spend(st, #text // 2)
  local padding = 16 - #text % 16
  local iv = sources.random(16)
  return base.encode64(iv .. aes.encrypt(key_of(password), iv, text .. string.char(padding):rep(padding)))
end)

M.decryptAES = define("string, string -> string", function(st, password, text)
  if text == "" then return "" end
  state.spend(st, #text // 2)
  local data, problem = base.decode64(text)
  if not data then error(problem, 0) end
  if #data < 32 or #data % 16 ~= 0 then error("crypto/cipher: input not full blocks", 0) end
  local plain = aes.decrypt(key_of(password), data:sub(1, 16), data:sub(17))
  local padding = plain:byte(-1)
  if padding > #plain then error("the padding of the decrypted text is wrong", 0) end
  return plain:sub(1, #plain - padding)
end)

-- Known names that this program does not provide.
local needs = {
  ["the network"] = { "getHostByName" },
  ["bcrypt, which is slow on purpose"] = { "bcrypt", "htpasswd" },
  ["scrypt with 32 MB of work, which is slow on purpose"] = { "derivePassword" },
  ["public-key cryptography"] = {
    "genPrivateKey", "buildCustomCert", "genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert",
    "genSignedCertWithKey",
  },
}

for what, names in pairs(needs) do
  for _, name in ipairs(names) do
    M[name] = define("...any -> any", function()
      error(("function %s is not available: needs %s"):format(name, what), 0)
    end)
  end
end

return M
