-- Spark's storage levels. Received data is always kept in memory as blocks outside the Lua heap, and a source that
-- outruns us is read more slowly; so a level is accepted wherever Spark takes one, and the ones that would ask for more
-- than that mean the same as MEMORY_ONLY_SER in this release.

local check = require "moontide.check"

---@class moontide.StorageLevel
---@field name string
---@field useMemory boolean
---@field useDisk boolean
---@field replication integer
local Level = check.class("StorageLevel", "a", {}, {})

function Level.__tostring(level)
    return "StorageLevel." .. level.name
end

local function level(name, memory, disk, replication)
    return setmetatable({ name = name, useMemory = memory, useDisk = disk, replication = replication }, Level)
end

---@class moontide.StorageLevels
local levels = {
    NONE = level("NONE", false, false, 1),
    DISK_ONLY = level("DISK_ONLY", false, true, 1),
    DISK_ONLY_2 = level("DISK_ONLY_2", false, true, 2),
    MEMORY_ONLY = level("MEMORY_ONLY", true, false, 1),
    MEMORY_ONLY_2 = level("MEMORY_ONLY_2", true, false, 2),
    MEMORY_ONLY_SER = level("MEMORY_ONLY_SER", true, false, 1),
    MEMORY_ONLY_SER_2 = level("MEMORY_ONLY_SER_2", true, false, 2),
    MEMORY_AND_DISK = level("MEMORY_AND_DISK", true, true, 1),
    MEMORY_AND_DISK_2 = level("MEMORY_AND_DISK_2", true, true, 2),
    MEMORY_AND_DISK_SER = level("MEMORY_AND_DISK_SER", true, true, 1),
    MEMORY_AND_DISK_SER_2 = level("MEMORY_AND_DISK_SER_2", true, true, 2),
}

local names = check.names(levels)

return setmetatable(levels, {
    __name = "StorageLevels",
    __index = function(_, name)
        -- The class of the levels, for argument checks.
        if name == "class" then
            return Level
        end
        check.fail("there is no storage level '%s'%s (levels: %s)", tostring(name),
            check.suggestion(tostring(name), names), table.concat(names, ", "))
    end,
})
