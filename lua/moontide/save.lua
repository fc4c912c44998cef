-- The saveAs… outputs, the driver's part: workers write part files in a temporary directory inside the target, and when
-- all are complete they are renamed into place and `_SUCCESS` is written last. So a reader never sees a half-written
-- part, and a directory without `_SUCCESS` is one that was not finished.

local files = require "moontide.files"

local save = {}

local TEMPORARY = "_temporary"
local attempts = 0

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

-- The directory and those above it that are not there yet, the innermost first.
local function missing(directory)
    local list = {}
    local path = directory:gsub("(.)/+$", "%1")
    while path ~= "" and not files.exists(path) do
        list[#list + 1] = path
        path = path:match("^(.*[^/])/+[^/]*$") or ""
    end
    return list
end

-- The temporary directory of a target with what earlier attempts left in it.
local function remove_temporary(directory)
    local temporary = directory .. "/" .. TEMPORARY
    for _, name in ipairs(files.list(temporary)) do
        files.remove_directory(temporary .. "/" .. name)
    end
    os.remove(temporary)
end

---@class moontide.Save one directory being written
---@field directory string the target
---@field temporary string where the workers write their parts
---@field made string[] directories that begin has made besides, the innermost first

--- Makes the target directory with an empty temporary directory in it.
--- @param directory string
--- @return moontide.Save?
--- @return string? reason
function save.begin(directory)
    -- A directory for this attempt alone: tasks of one that failed may still be at work, and must not touch its parts.
    attempts = attempts + 1
    local temporary = string.format("%s/%s/%d", directory, TEMPORARY, attempts)
    local saving = { directory = directory, temporary = temporary, made = missing(directory) }
    remove_temporary(directory)
    local made, reason = files.make_directory(saving.temporary)
    if not made then
        save.abort(saving)
        return nil, reason
    end
    return saving
end

-- What an earlier run wrote: a run with fewer partitions must not leave stale parts behind. Hadoop's checksums of them
-- would make it refuse the new ones.
local function remove_previous(directory)
    os.remove(directory .. "/_SUCCESS")
    for _, name in ipairs(files.list(directory)) do
        if name:match("^part%-%d+$") or name:match("^%.part%-%d+%.crc$") or name == "._SUCCESS.crc" then
            os.remove(directory .. "/" .. name)
        end
    end
end

--- Puts the parts in place.
--- @param saving moontide.Save
--- @return true? done
--- @return string? reason
function save.commit(saving)
    local directory, temporary = saving.directory, saving.temporary
    remove_previous(directory)
    for _, name in ipairs(files.list(temporary)) do
        local renamed, reason = os.rename(temporary .. "/" .. name, directory .. "/" .. name)
        if not renamed then
            return nil, string.format("cannot put %s/%s in place: %s", directory, name, reason)
        end
    end
    remove_temporary(directory)
    local marker, reason = io.open(directory .. "/_SUCCESS", "wb")
    if not marker then
        return nil, "cannot write " .. reason
    end
    local closed, close_reason = marker:close()
    if not closed then
        return nil, string.format("cannot write %s/_SUCCESS: %s", directory, close_reason)
    end
    return true
end

--- Takes away what an unfinished save has written. Directories that the save itself had made go too, if they are empty.
--- @param saving moontide.Save
function save.abort(saving)
    -- Out of reach first: a task that is still at work finds no place for a new part.
    os.rename(saving.temporary, saving.temporary .. ".aborted")
    remove_temporary(saving.directory)
    for _, path in ipairs(saving.made) do
        if files.exists(path) and (#files.list(path) > 0 or not os.remove(path)) then
            return
        end
    end
end

--- Leaves a batch without a directory: what an earlier run of the same batch wrote goes too.
--- @param directory string
function save.clear(directory)
    if not files.is_directory(directory) then
        return
    end
    remove_temporary(directory)
    remove_previous(directory)
    if #files.list(directory) == 0 then
        os.remove(directory)
    end
end

return save
