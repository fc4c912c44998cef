--- The directory for checkpoints: it can be made, and written to. Datasets are written there (operators/checkpoint.lua); streams,
--- and recovery, come with a later release.

local declare = require "moontide.base.declare"
local ffi = require "ffi"
local files = require "moontide.driver.files"

local checkpoint = {}

declare.cdef [[
    char *mkdtemp(char *template);
]]

--- Makes the directory if it is not there, and tries to write to it.
---@param directory string
---@return true? usable
---@return string? reason
function checkpoint.prepare(directory)
    local made, reason
    directory, reason = files.local_path(directory)
    if not directory then
        return nil, reason
    end
    made, reason = files.make_directory(directory, true)
    if not made then
        return nil, reason
    end
    return files.probe(directory)
end

-- 16 random bytes as a UUID.
local function uuid()
    local source = assert(io.open("/dev/urandom", "rb"))
    local bytes = { source:read(16):byte(1, 16) }
    source:close()
    bytes[7] = bytes[7] % 16 + 0x40
    bytes[9] = bytes[9] % 64 + 0x80
    return (("%02x"):rep(16):format(unpack(bytes)):gsub("^(%x%x%x%x%x%x%x%x)(%x%x%x%x)(%x%x%x%x)(%x%x%x%x)", "%1-%2-%3-%4-"))
end

--- Where a context writes its datasets from now on: a directory of its own in `directory`, made when the first is written. So
--- what several contexts or runs write there does not mix.
---@param state table of the context
---@param directory string
function checkpoint.use(state, directory)
    state.checkpoints = files.local_path(directory):gsub("(.)/+$", "%1") .. "/" .. uuid()
end

--- A new directory for one run.
---@return string? path
---@return string? reason
function checkpoint.temporary()
    local base = (os.getenv("TMPDIR") or "/tmp"):gsub("/+$", "")
    local template = base .. "/moontide-checkpoint.XXXXXX"
    local path = ffi.new("char[?]", #template + 1, template)
    if ffi.C.mkdtemp(path) == nil then
        return nil, "cannot make a temporary directory in " .. base
    end
    return ffi.string(path)
end

--- Removes a directory that `temporary` made, with all that is in it.
---@param path string
function checkpoint.remove(path)
    files.remove(path)
end

return checkpoint
