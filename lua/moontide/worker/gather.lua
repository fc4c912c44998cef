--- Operators that read several inputs at once: the plan's "zip" nodes (host/task/task.h). pipe.lua computes every input to a
--- list of packed blocks and calls what stands here under the operator's kind.
---
---     gather.readers[kind](op, lists, task)  → a list of blocks, or a function that returns the next block (its caller owns
---                                              the reference) and nil at the end
---     gather.drains[kind](op, lists, task)   → an array or an iterator of records, as functions of mapPartitions return
---
--- `lists` is an array of `struct tide_blocks *`, one for each input, in the order of the plan. They live until the operator's
--- last record has been taken. `task` is the C struct.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local failure = require "moontide.worker.failure"

local ffi, C = fast.ffi, fast.C

local gather = { readers = {}, drains = {} }

local no_memory = failure.no_memory

--- An empty list of blocks, which releases what is in it when it is collected.
function gather.blocks()
    local list = ffi.new "struct tide_blocks"
    C.tide_blocks_create(list)
    return ffi.gc(list, C.tide_blocks_destroy)
end

local function records_of(list) return tonumber(C.tide_blocks_records(list)) end

--- Raises unless all records of the lists are pairs.
function gather.need_pairs(op, lists)
    for _, list in ipairs(lists) do
        for at = 0, list.count - 1 do
            local block = list.items[at]
            if block.count > 0 and block.arity ~= 2 then
                failure.broken(op, "needs (key, value) pairs, but a record is the single value "
                    .. failure.preview((codec.decode(block.data, 0)))
                    .. "; make pairs with map(function(x) return key, value end)")
            end
        end
    end
end

-- An iterator over the blocks that `next_block(kernel, slot)` makes. The lists that the kernel reads
-- are kept by pipe.lua.
local function blocks_of(kernel, next_block)
    local slot = ffi.new "struct tide_block *[1]"
    return function()
        if not next_block(kernel, slot) then
            no_memory()
        end
        return slot[0] ~= nil and slot[0] or nil
    end
end

-- By key ---------------------------------------------------------------------------------------------------------

local MODES = {
    cogroup = C.TIDE_COGROUP, join = C.TIDE_COGROUP_JOIN, leftOuterJoin = C.TIDE_COGROUP_LEFT_OUTER,
    rightOuterJoin = C.TIDE_COGROUP_RIGHT_OUTER, fullOuterJoin = C.TIDE_COGROUP_FULL_OUTER,
    subtractByKey = C.TIDE_COGROUP_SUBTRACT, intersection = C.TIDE_COGROUP_INTERSECT,
}

for kind, mode in pairs(MODES) do
    gather.readers[kind] = function(op, lists)
        gather.need_pairs(op, lists)
        local sides = ffi.new("const struct tide_blocks *[?]", #lists)
        for at, list in ipairs(lists) do sides[at - 1] = list end
        local kernel = C.tide_cogroup_new(sides, #lists, mode)
        if kernel == nil then
            no_memory()
        end
        return blocks_of(ffi.gc(kernel, C.tide_cogroup_delete), C.tide_cogroup_next)
    end
end

-- Side by side -----------------------------------------------------------------------------------------------------

function gather.readers.zip(op, lists, task)
    local left, right = records_of(lists[1]), records_of(lists[2])
    if left ~= right then
        failure.broken(op, ("partition %d has %.0f records on the left and %.0f on the right; zip needs as many on both sides")
            :format(task.partition, left, right))
    end
    local out = gather.blocks()
    if not C.tide_product_zip(lists[1], lists[2], out) then
        no_memory()
    end
    return out
end

function gather.readers.cartesian(_, lists)
    local kernel = C.tide_product_new(lists[1], lists[2])
    if kernel == nil then
        no_memory()
    end
    return blocks_of(ffi.gc(kernel, C.tide_product_delete), C.tide_product_next)
end

-- An iterator over the records of a list of packed blocks.
local function records(list)
    local decode, count = codec.decode, list.count
    local next_block, left, pairs_in, data, at = 0, 0, false, nil, 0
    return function()
        while left == 0 do
            if next_block == count then
                return nil
            end
            local block = list.items[next_block]
            next_block = next_block + 1
            left, pairs_in, data, at = block.count, block.arity == 2, block.data, 0
        end
        left = left - 1
        local a, b
        a, at = decode(data, at)
        if pairs_in then
            b, at = decode(data, at)
        end
        return a, b
    end
end

--- An iterator over the records of a list of packed blocks, for operators that are written in Lua: one value, or key and value.
gather.records = records

function gather.drains.zipPartitions(op, lists)
    local iterators = {}
    for at, list in ipairs(lists) do iterators[at] = records(list) end
    return op.f(unpack(iterators))
end

return gather
