--- The saveAs… outputs and the files of checkpoints, the driver's part: workers write part files in the directory of an attempt inside
--- the target, and when all are complete a worker puts them into place and writes `_SUCCESS` last (host/format/output_directory.h). So a reader
--- never sees a half-written part, and a directory without `_SUCCESS` is one that was not finished. All that waits for the disk, but
--- for the making of directories, happens in workers.

local declare = require "moontide.base.declare"
local check = require "moontide.base.check"
local conf = require "moontide.base.conf"
local fast = require "moontide.wire.ffi"
local files = require "moontide.driver.files"

local ffi, C = fast.ffi, fast.C

declare.cdef [[
char *realpath(const char *path, char *resolved);
void free(void *pointer);
]]

local save = {}

local REMEMBERED = 1000 -- directories of which is known that this process has completed them

--- The directory of one batch: prefix-TIME.suffix; without a prefix just TIME.suffix.
---
---     save.name("out", nil, 1000)    --> "out-1000"
---     save.name("out", "txt", 1000)  --> "out-1000.txt"
---
---@param prefix string?
---@param suffix string?
---@param time number ms
---@return string
function save.name(prefix, suffix, time)
    local name = ("%.0f"):format(time)
    if prefix and prefix ~= "" then
        name = prefix .. "-" .. name
    end
    if suffix and suffix ~= "" then
        name = name .. "." .. suffix
    end
    return name
end

-- The local path that a script has named; misuse is raised.
local function checked_path(name, text)
    local path, reason = files.local_path(text)
    if not path then
        check.fail("%s: %s", name, reason)
    end
    return path
end

--- Refuses, at the line of the script, a directory that is there already.
---@param name string operator
---@param directory string
function save.check_new(name, directory)
    directory = checked_path(name, directory)
    if files.exists(directory) then
        check.fail("%s: %s already exists", name, directory)
    end
end

local function real_path(path)
    local resolved = ffi.C.realpath(path, nil)
    if resolved == nil then
        return nil
    end
    local text = ffi.string(resolved)
    ffi.C.free(resolved)
    return text
end

-- One spelling for a path, which need not be there yet: what is there of it counts with its links followed.
local function canonical(path)
    local before, name = path:match("^(.*/)([^/]*)$")
    before, name = before or "", name or path
    local rest = {}
    local there = real_path(before == "" and "." or before)
    while not there and before ~= "" do
        local above, last = before:match("^(.-)([^/]*)/+$")
        if last ~= "." then
            table.insert(rest, 1, last)
        end
        before = above
        there = real_path(before == "" and "." or before)
    end
    rest[#rest + 1] = name
    there = there or "."
    return (there == "/" and "" or there) .. "/" .. table.concat(rest, "/")
end

--- Notes that an output of a graph writes to prefix-TIME.suffix, and refuses, at the line of the script, a second one that would
--- write to the same directories, however they are spelt.
---@param life table of the streaming context
---@param name string operator
---@param site string
---@param prefix string?
---@param suffix string?
function save.claim(life, name, site, prefix, suffix)
    prefix, suffix = (prefix and checked_path(name, prefix) or ""):gsub("(.)/+$", "%1"), suffix or ""
    local shown = (prefix ~= "" and prefix .. "-" or "") .. "TIME" .. (suffix ~= "" and "." .. suffix or "")
    local target = canonical(shown)
    local other = life.saves[target]
    if other then
        check.fail("%s: %s (%s) writes to the same directories, %s; give one of the two another prefix or suffix", name, other.name,
            other.site, shown)
    end
    life.saves[target] = { name = name, site = site }
end

-- What this process has completed: directory → whose it is, the mark of its _SUCCESS, and who has saved it.
---@type table<string, { outputs: moontide.Outputs, mark: string, label: string }>
local committed = {}
local order = {} -- the directories, the oldest first

local function remember(directory, entry)
    if not committed[directory] then
        order[#order + 1] = directory
    end
    committed[directory] = entry
    if #order > 2 * REMEMBERED then
        local kept = {}
        for index, one in ipairs(order) do
            if index <= REMEMBERED then
                committed[one] = nil
            else
                kept[#kept + 1] = one
            end
        end
        order = kept
    end
end

local err = ffi.new "struct tide_error"

local function message()
    local text = err.text ~= nil and ffi.string(err.text) or "it cannot be written"
    C.tide_error_clear(err)
    return text
end

-- An output of a context that is stopped is one of an earlier run, however short ago.
local function rule_of(outputs, directory, fresh)
    local known = committed[directory]
    local own = known and (known.outputs == outputs or known.outputs.closed()) and known.mark or nil
    return ffi.new("struct tide_output_directory_rule", fresh or false, own, outputs.since, outputs.since_file), own
end

---@class moontide.Save one directory being written
---@field directory string the target
---@field attempt string name of the attempt
---@field temporary string where the workers write their parts
---@field sync boolean whether it is made durable
---@field label string who saves: "job.lua:12: saveAsTextFile"
---@field handle ffi.cdata* holds the lock on the target

--- Makes the target directory, takes the lock on it, and makes a directory for this attempt.
---@param state table of the context
---@param directory string
---@param options { label: string, fresh: boolean?, name: string? } fresh: the target must not be there yet
---@return moontide.Save?
---@return string? reason
function save.begin(state, directory, options)
    directory = files.local_path(directory):gsub("(.)/+$", "%1")
    local handle = ffi.gc(ffi.new "struct tide_output_directory", C.tide_output_directory_end)
    handle.fd = -1
    local other = committed[directory]
    if other and other.outputs == state.outputs and not options.fresh and other.label ~= options.label then
        return nil, ("%s was written by %s in this run already; give one of the two another prefix or suffix"):format(
            directory, other.label)
    end
    local rule, own = rule_of(state.outputs, directory, options.fresh)
    if C.tide_output_directory_begin(handle, directory, rule, err) ~= 0 then
        return nil, message()
    end
    assert(own == nil or #own > 0) -- a use after the call: until here it may not be collected
    local attempt = ffi.string(handle.attempt)
    return {
        directory = directory, attempt = attempt, temporary = directory .. "/_temporary/" .. attempt, handle = handle,
        sync = conf.get(state.settings, "save.sync"), label = options.label,
    }
end

--- What a worker needs to know to commit (lua/moontide/worker/save.lua).
---@param saving moontide.Save
---@param parts integer how many there are
---@param gzip? boolean
---@return table
function save.commission(saving, parts, gzip)
    return {
        directory = saving.directory, attempt = saving.attempt, made = saving.handle.made, begun = saving.handle.begun, parts = parts,
        gzip = gzip or false, sync = saving.sync,
    }
end

--- Notes that a worker has committed, and gives the lock back.
---@param state table of the context
---@param saving moontide.Save
---@param mark string of the _SUCCESS
function save.done(state, saving, mark)
    remember(saving.directory, { outputs = state.outputs, mark = mark, label = saving.label })
    C.tide_output_directory_end(saving.handle)
end

--- Takes away what an unfinished save has written. Directories that the save itself had made go too, if they are empty.
---@param saving moontide.Save
function save.abort(saving)
    C.tide_output_directory_abort(saving.handle, saving.directory)
end

--- Leaves a batch without a directory: what an earlier run of the same batch wrote goes too.
---@param state table of the context
---@param directory string
---@return true? done
---@return string? reason
function save.clear(state, directory)
    directory = files.local_path(directory):gsub("(.)/+$", "%1")
    local rule, own = rule_of(state.outputs, directory)
    if C.tide_output_directory_clear(directory, rule, err) ~= 0 then
        return nil, message()
    end
    return own == nil or #own > 0 -- a use after the call, as above
end

return save
