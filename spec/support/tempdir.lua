-- A temporary directory for one test.
--
--     local tempdir = require "spec.support.tempdir"
--     local dir = tempdir.new()
--     finally(function() dir:remove() end)
--     local script = dir:write("job.lua", "print 'hello'")     --> "/tmp/moontide-spec.x7Yq2b/job.lua"

local tempdir = {}
tempdir.__index = tempdir

local function quote(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Makes a new, empty directory under TMPDIR (default /tmp). The caller removes it.
---@return table dir with the absolute path in `dir.path`
function tempdir.new()
    local pipe = assert(io.popen('mktemp -d "${TMPDIR:-/tmp}/moontide-spec.XXXXXX"', "r"))
    local path = pipe:read("*l")
    pipe:close()
    assert(path and path ~= "", "mktemp could not make a temporary directory")
    return setmetatable({ path = path }, tempdir)
end

--- The absolute path of `name` inside the directory; nothing is created.
---@param name string
---@return string
function tempdir:file(name)
    return self.path .. "/" .. name
end

--- Writes a file, with the folders its name mentions.
---@param name string relative to the directory
---@param content string
---@return string path absolute
function tempdir:write(name, content)
    local path = self:file(name)
    local folder = name:match("^(.*)/")
    if folder then
        assert(os.execute("mkdir -p " .. quote(self:file(folder))) == 0, "cannot make the folder of " .. path)
    end
    local file = assert(io.open(path, "wb"))
    assert(file:write(content))
    assert(file:close())
    return path
end

--- The content of a file, or nil when there is none of that name.
---@param name string relative to the directory
---@return string?
function tempdir:read(name)
    local file = io.open(self:file(name), "rb")
    if not file then
        return nil
    end
    local content = file:read("*a")
    file:close()
    return content
end

--- Removes the directory and what is in it. May be called twice.
function tempdir:remove()
    if self.path then
        assert(self.path:match("/moontide%-spec%.%w+$"), "not a directory of this module: " .. self.path)
        os.execute("rm -rf " .. quote(self.path))
        self.path = nil
    end
end

return tempdir
