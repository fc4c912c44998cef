--- Keeping computed datasets: persist and what belongs to it, and names.

local check = require "moontide.base.check"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local storage_bits = require "moontide.wire.storage_bits"
local storage_level = require "moontide.base.storage_level"

---@class moontide.RDD
local RDD = {}

---@class moontide.DStream
local DStream = {}

local function check_level(level, default)
    if level == nil then
        return default
    end
    check.handle(1, "persist", level, storage_level.class)
    return storage_level.note(level)
end

local function persist(rdd, level)
    local has = storage_bits.level(rdd.node:storage())
    if has ~= storage_level.NONE and has ~= level then
        check.fail("'persist': cannot change the storage level of a dataset after it was already assigned a level (%s); "
            .. "unpersist it first", has.name)
    end
    if level ~= storage_level.NONE then
        rdd.node:persist(storage_bits.of(level))
    end
    return rdd
end

--- Keeps the records once they are computed, so that later jobs need not compute them again. The first job that needs
--- the dataset computes all of it.
---
---     local parsed = lines:map(parse):persist()
---     parsed:count()
---     parsed:filter(bad):take(10)  -- does not parse again
---
--- Records are kept packed, outside the Lua heap, until `unpersist` or until the dataset is not used any more. When kept data
--- reaches the setting `memory.limit`, other datasets make room, the one used least recently first: with MEMORY_AND_DISK
--- they go to disk, with MEMORY_ONLY what has no room is computed again when it is needed. DISK_ONLY keeps nothing in memory.
---
---     local all = sc:range(0, 1000):persist(moontide.StorageLevel.MEMORY_AND_DISK)
---
--- Guide: "Persistence".
---@param level? moontide.StorageLevel default MEMORY_ONLY_SER; NONE does nothing, another one than before is refused
---@return moontide.RDD self
function RDD:persist(level)
    operators.begin(self, "persist")
    return persist(self, check_level(level, storage_level.MEMORY_ONLY_SER))
end

--- As persist().
---
---     local parsed = lines:map(parse):cache()
---
--- As in Spark 0.9.
---@return moontide.RDD self
function RDD:cache()
    operators.begin(self, "cache")
    return persist(self, storage_level.MEMORY_ONLY_SER)
end

--- Releases what persist has cached; the dataset is computed again when it is needed. Does nothing if it is not cached.
---
---     local parsed = lines:map(parse):persist()
---     parsed:count()
---     parsed:unpersist()
---
--- At once, whatever `blocking` says. As in Spark 0.9.
---@param blocking? boolean accepted as in Spark: memory is given back at once in any case
---@return moontide.RDD self
function RDD:unpersist(blocking)
    operators.begin(self, "unpersist")
    check.boolean(1, "unpersist", blocking, false)
    self.node:unpersist()
    return self
end

--- The level that persist was given; StorageLevel.NONE if it was not called.
---
---     tostring(numbers:persist():getStorageLevel())  --> "StorageLevel.MEMORY_ONLY_SER"
---
--- As in Spark 0.9.
---@return moontide.StorageLevel
function RDD:getStorageLevel()
    check.self(self, handles.RDD, "getStorageLevel")
    return storage_bits.level(self.node:storage())
end

--- Names the dataset in toDebugString.
---
---     words:setName("the words"):toDebugString()
---
--- As in Spark 0.9.
---@param name string? nil takes the name away
---@return moontide.RDD self
function RDD:setName(name)
    operators.begin(self, "setName")
    if name ~= nil then
        check.text(1, "setName", name)
    end
    self.node:setName(name)
    return self
end

--- The name that setName gave.
---
---     words:setName("the words"):name()  --> "the words"
---
--- As in Spark 0.9.
---@return string? nil when it has none
function RDD:name()
    check.self(self, handles.RDD, "name")
    return self.node:name()
end

--- Keeps the dataset of each batch once it is computed, as long as the stream remembers it: worth it where a batch is
--- used by several outputs or windows. May be called again before the start; the last level counts.
---
---     local parsed = lines:map(parse):persist()
---
---
--- Guide: "Persistence".
---@param level? moontide.StorageLevel default MEMORY_ONLY_SER; NONE takes it back. See RDD:persist; states and what windows
---   read are never dropped: without room in memory they are spilled
---@return moontide.DStream self
function DStream:persist(level)
    operators.begin(self, "persist")
    self.node:persist(storage_bits.of(check_level(level, storage_level.MEMORY_ONLY_SER)))
    return self
end

--- As persist().
---
---     local parsed = lines:map(parse):cache()
---
--- Guide: "Persistence".
---@return moontide.DStream self
function DStream:cache()
    operators.begin(self, "cache")
    self.node:persist(storage_bits.of(storage_level.MEMORY_ONLY_SER))
    return self
end

handles.add { RDD = RDD, DStream = DStream }
