--- Lists of packed blocks (`struct tide_blocks`) as operators in Lua make and read them.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local failure = require "moontide.worker.failure"

local ffi, C = fast.ffi, fast.C

local block_lists = {}

--- An empty list. It releases its blocks when it is collected.
---@return ffi.cdata* list
function block_lists.new()
    local list = ffi.new "struct tide_blocks"
    C.tide_blocks_create(list)
    return ffi.gc(list, C.tide_blocks_destroy)
end

--- An empty list for what is read within a task. It is released when the reader says so, at the latest with the task: the collector
--- does not see how much memory it stands for.
---@param cleanup function[] of the task
---@return ffi.cdata* list
function block_lists.temporary(cleanup)
    local list = ffi.new "struct tide_blocks"
    C.tide_blocks_create(list)
    cleanup[#cleanup + 1] = function() C.tide_blocks_destroy(list) end
    return list
end

--- How many records are in a list.
---@param list ffi.cdata*
---@return integer
function block_lists.count(list) return tonumber(C.tide_blocks_records(list)) end

--- Raises unless all records of the lists are pairs.
---@param op table the operator that needs them
---@param lists ffi.cdata*[]
function block_lists.need_pairs(op, lists)
    for _, list in ipairs(lists) do
        for at = 0, list.count - 1 do
            local block = list.items[at]
            if block.count > 0 and block.arity ~= 2 then
                failure.not_pairs(op, codec.decode(block.data, 0))
            end
        end
    end
end

--- An iterator over the blocks that a kernel makes one by one; the caller of the iterator owns each block. The lists that the kernel
--- reads must live until then.
---@param kernel ffi.cdata*
---@param next_block fun(kernel: ffi.cdata*, slot: ffi.cdata*): boolean slot[0] is a block, or NULL at the end; false: out of memory
---@return fun(): ffi.cdata*?
function block_lists.made_by(kernel, next_block)
    local slot = ffi.new "struct tide_block *[1]"
    return function()
        if not next_block(kernel, slot) then
            failure.no_memory()
        end
        return slot[0] ~= nil and slot[0] or nil
    end
end

--- An iterator over the records of a list: one value, or key and value.
---@param list ffi.cdata*
---@return fun(): any, any
function block_lists.records(list)
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

return block_lists
