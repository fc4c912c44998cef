-- Times of modification, prepared.
--
--     local file_times = require "spec.support.file_times"
--     file_times.set(dir:write("a", "text"), 5001)     -- ms since the epoch; 5000.25 is 250 us later

local ffi = require "ffi"

ffi.cdef [[
    struct spec_timespec { long sec, nsec; };
    int utimensat(int directory, const char *path, const struct spec_timespec times[2], int flags);
]]

local file_times = {}

local AT_FDCWD = -100

--- Sets when the file was modified (and read) last.
---@param path string
---@param ms number
---@return string path
function file_times.set(path, ms)
    local times = ffi.new("struct spec_timespec[2]")
    for index = 0, 1 do
        times[index].sec = math.floor(ms / 1000)
        times[index].nsec = math.floor(ms % 1000 * 1e6 + 0.5)
    end
    assert(ffi.C.utimensat(AT_FDCWD, path, times, 0) == 0, "cannot set the times of " .. path)
    return path
end

return file_times
