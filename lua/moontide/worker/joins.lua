--- Operators over several inputs that lie in the same partition (zip nodes of a plan): cogroup and the joins, zip, cartesian,
--- zipPartitions. The inputs are computed by inputs.lua and live until the last record has been taken.
local fast = require "moontide.wire.ffi"
local block_lists = require "moontide.worker.block_lists"
local failure = require "moontide.worker.failure"
local kinds = require "moontide.worker.kinds"

local ffi, C = fast.ffi, fast.C

local MODES = {
    cogroup = C.TIDE_COGROUP, join = C.TIDE_COGROUP_JOIN, leftOuterJoin = C.TIDE_COGROUP_LEFT_OUTER,
    rightOuterJoin = C.TIDE_COGROUP_RIGHT_OUTER, fullOuterJoin = C.TIDE_COGROUP_FULL_OUTER,
    subtractByKey = C.TIDE_COGROUP_SUBTRACT, intersection = C.TIDE_COGROUP_INTERSECT,
}

for kind, mode in pairs(MODES) do
    kinds.register("inputs", kind, function(op, lists)
        block_lists.need_pairs(op, lists)
        local sides = ffi.new("const struct tide_blocks *[?]", #lists)
        for at, list in ipairs(lists) do sides[at - 1] = list end
        local kernel = C.tide_cogroup_new(sides, #lists, mode)
        if kernel == nil then
            failure.no_memory()
        end
        return block_lists.made_by(ffi.gc(kernel, C.tide_cogroup_delete), C.tide_cogroup_next)
    end)
end

kinds.register("inputs", "zip", function(op, lists, execution)
    local left, right = block_lists.count(lists[1]), block_lists.count(lists[2])
    if left ~= right then
        failure.broken(op, ("partition %d has %.0f records on the left and %.0f on the right; zip needs as many on both sides")
            :format(execution.partition, left, right))
    end
    local out = block_lists.new()
    if not C.tide_product_zip(lists[1], lists[2], out) then
        failure.no_memory()
    end
    return out
end)

kinds.register("inputs", "cartesian", function(_, lists)
    local kernel = C.tide_product_new(lists[1], lists[2])
    if kernel == nil then
        failure.no_memory()
    end
    return block_lists.made_by(ffi.gc(kernel, C.tide_product_delete), C.tide_product_next)
end)

kinds.register("iterator", "zipPartitions", function(op, lists)
    local iterators = {}
    for at, list in ipairs(lists) do iterators[at] = block_lists.records(list) end
    return op.fn(unpack(iterators))
end)
