-- Spark's storage levels. Data is always kept in memory as packed blocks outside the Lua heap, and a source that outruns us
-- is read more slowly; so a level is accepted wherever Spark takes one, and the ones that would ask for more than that mean
-- the same as MEMORY_ONLY_SER in this release.

local check = require "moontide.check"

---@class moontide.StorageLevel
---@field name string
---@field useMemory boolean
---@field useDisk boolean
---@field replication integer
---@field code integer the bits of host/rdd/rdd.h
local Level = check.class("StorageLevel", "a", {}, {})

function Level.__tostring(level)
    return "StorageLevel." .. level.name
end

local by_code = {}

-- The bits: 1 memory, 2 disk, 4 unserialized objects, 8 two replicas.
local function level(name, memory, disk, replication)
    local code = (memory and 1 or 0) + (disk and 2 or 0) + (replication == 2 and 8 or 0)
    if memory and not name:find("_SER", 1, true) then
        code = code + 4
    end
    local made = setmetatable({ name = name, useMemory = memory, useDisk = disk, replication = replication, code = code }, Level)
    by_code[code] = made
    return made
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
        -- of(code): the level of a dataset of the core.
        if name == "of" then
            return function(code) return by_code[code] end
        end
        check.fail("there is no storage level '%s'%s (levels: %s)", tostring(name),
            check.suggestion(tostring(name), names), table.concat(names, ", "))
    end,
})
