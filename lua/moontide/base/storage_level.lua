--- Spark's storage levels: where a kept dataset may be. Data is always kept packed, outside the Lua heap, so the levels with
--- and without _SER, and OFF_HEAP, differ in name only.
---
---     MEMORY_ONLY       in memory; what has no room there is computed again when it is needed
---     MEMORY_AND_DISK   in memory; what has no room there goes to disk
---     DISK_ONLY         on disk
---     NONE              not kept
---
--- Room is what the setting memory.limit leaves. Data that could not be computed again (received data, states, windows) goes to
--- disk whatever the level says. The levels that end in _2 ask for a second replica on another machine, and there is none.

local check = require "moontide.base.check"

---@class moontide.StorageLevel
---@field name string
---@field useMemory boolean
---@field useDisk boolean
---@field useOffHeap boolean
---@field deserialized boolean
---@field replication integer
local Level = check.class("StorageLevel", "a", {}, {})

function Level.__tostring(level)
    return "StorageLevel." .. level.name
end

-- From its name, which says all that a level is.
local function level(name)
    local made = {
        name = name, useMemory = name:find("MEMORY", 1, true) ~= nil, useDisk = name:find("DISK", 1, true) ~= nil,
        useOffHeap = name == "OFF_HEAP", replication = name:find("_2$") and 2 or 1,
    }
    made.deserialized = made.useMemory and not name:find("_SER", 1, true)
    return setmetatable(made, Level)
end

---@class moontide.StorageLevels
local levels = {}
for _, name in ipairs({
    "NONE", "DISK_ONLY", "DISK_ONLY_2", "MEMORY_ONLY", "MEMORY_ONLY_2", "MEMORY_ONLY_SER", "MEMORY_ONLY_SER_2",
    "MEMORY_AND_DISK", "MEMORY_AND_DISK_2", "MEMORY_AND_DISK_SER", "MEMORY_AND_DISK_SER_2", "OFF_HEAP",
}) do
    levels[name] = level(name)
end

local noted = false

-- Says once that a second replica is not made.
local function note(wanted)
    if wanted.replication == 2 and not noted then
        noted = true
        require("moontide.core").log("warn", "storage",
            wanted.name .. " asks for two replicas; Moontide runs on one machine and keeps one")
    end
    return wanted
end

local names = check.names(levels)

return setmetatable(levels, {
    __name = "StorageLevels",
    __index = function(_, name)
        -- The class of the levels, for argument checks.
        if name == "class" then
            return Level
        end
        -- each(): an iterator over name and level.
        if name == "each" then
            return function() return next, levels end
        end
        -- note(level): the script asked for it; passes it on.
        if name == "note" then
            return note
        end
        check.fail("there is no storage level '%s'%s (levels: %s)", tostring(name),
            check.suggestion(tostring(name), names), table.concat(names, ", "))
    end,
})
