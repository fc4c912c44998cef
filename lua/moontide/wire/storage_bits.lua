--- Storage levels as the core knows them: the bits TIDE_LEVEL_… of host/rdd/ffi.h.

local fast = require "moontide.wire.ffi"
local storage_level = require "moontide.base.storage_level"

local storage_bits = {}

local C = fast.C

--- The bits of a level.
---@param level moontide.StorageLevel
---@return integer
function storage_bits.of(level)
    return (level.useMemory and C.TIDE_LEVEL_MEMORY or 0) + (level.useDisk and C.TIDE_LEVEL_DISK or 0)
        + (level.deserialized and C.TIDE_LEVEL_OBJECTS or 0) + (level.replication == 2 and C.TIDE_LEVEL_TWICE or 0)
        + (level.useOffHeap and C.TIDE_LEVEL_OFF_HEAP + C.TIDE_LEVEL_MEMORY or 0)
end

local levels = {}

for _, level in storage_level.each() do
    levels[storage_bits.of(level)] = level
end

--- The level with these bits.
---@param bits integer
---@return moontide.StorageLevel
function storage_bits.level(bits)
    return levels[bits]
end

return storage_bits
