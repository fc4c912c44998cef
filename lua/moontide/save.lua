-- saveAsTextFile and saveAsTextFiles, the driver's part: workers write part files in a temporary directory inside the
-- target, and when all are complete they are renamed into place and `_SUCCESS` is written last. So a reader never sees
-- a half-written part, and a directory without `_SUCCESS` is one that was not finished.

local files = require "moontide.files"

local save = {}

local TEMPORARY = "_temporary"

--- The directory of one batch: prefix-TIME.suffix; without a prefix just TIME.suffix.
---
---     save.name("out", nil, 1000)    --> "out-1000"
---     save.name("out", "txt", 1000)  --> "out-1000.txt"
---
--- @param prefix string?
--- @param suffix string?
--- @param time number ms
--- @return string
function save.name(prefix, suffix, time)
    local name = string.format("%.0f", time)
    if prefix and prefix ~= "" then
        name = prefix .. "-" .. name
    end
    if suffix and suffix ~= "" then
        name = name .. "." .. suffix
    end
    return name
end

--- Makes the target directory with an empty temporary directory in it.
--- @param directory string
--- @return string? temporary where the workers write their parts
--- @return string? reason
function save.begin(directory)
    local temporary = directory .. "/" .. TEMPORARY
    files.remove_directory(temporary)
    local made, reason = files.make_directory(temporary)
    if not made then
        return nil, reason
    end
    return temporary
end

-- What an earlier run wrote: a run with fewer partitions must not leave stale parts behind.
local function remove_previous(directory)
    os.remove(directory .. "/_SUCCESS")
    for _, name in ipairs(files.list(directory)) do
        if name:match("^part%-%d+$") then
            os.remove(directory .. "/" .. name)
        end
    end
end

--- Puts the parts in place.
--- @param directory string
--- @return true? done
--- @return string? reason
function save.commit(directory)
    local temporary = directory .. "/" .. TEMPORARY
    remove_previous(directory)
    for _, name in ipairs(files.list(temporary)) do
        local renamed, reason = os.rename(temporary .. "/" .. name, directory .. "/" .. name)
        if not renamed then
            return nil, string.format("cannot put %s/%s in place: %s", directory, name, reason)
        end
    end
    files.remove_directory(temporary)
    local marker, reason = io.open(directory .. "/_SUCCESS", "wb")
    if not marker then
        return nil, "cannot write " .. reason
    end
    marker:close()
    return true
end

--- Takes away what an unfinished save has written. A directory that the save itself had made goes too.
--- @param directory string
function save.abort(directory)
    files.remove_directory(directory .. "/" .. TEMPORARY)
    if #files.list(directory) == 0 then
        os.remove(directory)
    end
end

return save
