-- step.command: why a command could not be started, in the words of who has to mend it.

local command = require "step.command"
local step = require "step"
local temp = require "spec.support.temp"

local uv = require "step.outside".luv()

--- What a command that cannot be started says: after its name, with the folder of the files as <folder>.
local function says(name, options)
  options = options or {}
  local err
  local run = assert(step.define { name = "x", steps = { { name = "a", action = { type = "lua", configuration = { fn = function(_, ctx)
    local result
    result, err = ctx:spawn({ name }, options)
    assert(not result, "it was started")
  end } } } } }):start()
  assert.equal("DONE", run:resolve(), run.steps.a.error)
  assert.same({ "spawn", name }, { err.kind, err.command })
  return err.message:match " cannot be started: (.*)$", err.message:match "^(.*) cannot be started"
end

local function executable(path)
  assert(uv.fs_chmod(path, 493)) -- 0755
  return path
end

after_each(temp.clean)

describe("a command that cannot be started", function()
  it("is not there", function()
    local folder = temp.folder()
    assert.equal("there is no such file", says(folder .. "/none"))
    assert.equal("there is no such command in PATH (/none::/usr/none)", says("no-such-command", { env = { PATH = "/none::/usr/none" } }))
    assert.equal("there is no such file", says("./none", { cwd = folder }))
  end)

  it("is a folder", function()
    local folder = temp.folder { ["bin/tool/x"] = "" }
    assert.equal("it is a folder", says(folder))
    assert.equal("it is a folder", says("./bin", { cwd = folder }))
    assert.equal(folder .. "/bin/tool: it is a folder", says("tool", { env = { PATH = "/none:" .. folder .. "/bin" } }))
  end)

  it("is not executable", function()
    local folder = temp.folder { tool = "echo" }
    assert.equal("permission denied: it is not executable (chmod +x)", says(folder .. "/tool"))
    assert.equal(folder .. "/tool: permission denied: it is not executable (chmod +x)", says("tool", { env = { PATH = folder } }))
  end)

  it("is a link to nowhere, or stands in what is no folder", function()
    local folder = temp.folder { file = "" }
    assert(uv.fs_symlink("nowhere", folder .. "/link"))
    assert.equal("it is a symbolic link to a file that is not there", says(folder .. "/link"))
    assert.equal("what stands in its path as a folder is none", says(folder .. "/file/x"))
  end)

  if (os.getenv "LD_PRELOAD" or ""):find("vgpreload", 1, true) then
    pending("is a script that cannot be started: valgrind starts scripts itself, the child ends with 101 then")
  else
    it("is a script whose interpreter is missing, a folder, or no program", function()
      local folder = temp.folder { missing = "#!/no/such/sh -e\n", folder = "#! /usr\n", windows = "#!/bin/sh\r\necho\r\n", plain = "x" }
      temp.write(folder .. "/no-program", "#!" .. folder .. "/plain\n")
      for name, message in pairs {
        missing = "/no/such/sh, is not there", folder = "/usr, is a folder", ["no-program"] = folder .. "/plain, cannot be started",
        windows = "/bin/sh, is followed by a carriage return: its lines end as on Windows",
      } do
        assert.equal("the interpreter in its first line, " .. message, says(executable(folder .. "/" .. name)))
      end
    end)
  end

  it("has no folder to run in", function()
    local folder = temp.folder { file = "" }
    assert.same({ "there is no such folder", "true in /no-such-folder" }, { says("true", { cwd = "/no-such-folder" }) })
    assert.same({ "it is no folder", ("true in %s/file"):format(folder) }, { says("true", { cwd = folder .. "/file" }) })
  end)

  it("stands in a folder that is closed, or is built for another system", function()
    local stats = {}
    local fake = {
      fs_stat = function(path)
        if stats[path] then return stats[path] end
        return nil, "EACCES: permission denied", "EACCES"
      end,
      fs_access = function() return true end,
    }
    assert.equal("/closed/x cannot be started: permission denied: a folder in its path is closed to this user",
      command.refusal(fake, "/closed/x", {}, "EACCES: permission denied").message)
    local path = temp.file "\127ELF"
    stats[path] = { type = "file" }
    assert.equal(path .. " cannot be started: the loader that this program needs is not there: it is built for another system",
      command.refusal(fake, path, {}, "ENOENT: no such file or directory").message)
  end)

  it("says what the system says when nothing is seen", function()
    assert.equal("name too long", says(("x"):rep(5000)))
    local err = command.refusal(uv, "true", {}, "E2BIG: argument list too long")
    assert.same({ "true cannot be started: argument list too long", "E2BIG" }, { err.message, err.code })
    err = command.refusal(uv, "true", { cwd = "/no-such-folder" }, "EMFILE: too many open files")
    assert.same({ "true cannot be started: too many open files", "EMFILE" }, { err.message, err.code })
    assert.equal("/bin/sh cannot be started: permission denied", command.refusal(uv, "/bin/sh", {}, "EACCES: permission denied").message)
  end)
end)
