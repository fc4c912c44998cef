-- The directory for checkpoints. What is written there, and recovery, come with a later release; what must be so by then is
-- checked now: it can be made, and written to.

local ffi = require "ffi"
local files = require "moontide.files"

local checkpoint = {}

ffi.cdef [[
    char *mkdtemp(char *template);
]]

--- Makes the directory if it is not there, and tries to write to it.
--- @param directory string
--- @return true? usable
--- @return string? reason
function checkpoint.prepare(directory)
    local made, reason = files.make_directory(directory)
    if not made then
        return nil, reason
    end
    local probe = directory .. "/.moontide-write-test"
    local file, why = io.open(probe, "wb")
    if not file then
        return nil, "cannot write to it: " .. why
    end
    file:close()
    os.remove(probe)
    return true
end

--- A new directory for one run.
--- @return string? path
--- @return string? reason
function checkpoint.temporary()
    local base = (os.getenv("TMPDIR") or "/tmp"):gsub("/+$", "")
    local template = base .. "/moontide-checkpoint.XXXXXX"
    local path = ffi.new("char[?]", #template + 1, template)
    if ffi.C.mkdtemp(path) == nil then
        return nil, "cannot make a temporary directory in " .. base
    end
    return ffi.string(path)
end

--- Removes a directory that `temporary` made.
--- @param path string
function checkpoint.remove(path)
    files.remove_directory(path)
end

return checkpoint
