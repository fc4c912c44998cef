--- Packs arrays of the script as the blocks of a dataset.

local check = require "moontide.base.check"
local codec = require "moontide.wire.codec"
local iterate = require "moontide.base.iterate"
local memory = require "moontide.base.memory"
local preview = require "moontide.base.preview"

local pack = {}

-- Records are packed in blocks of this many, so that a cancelled job ends soon and memory is freed piece by piece.
local BLOCK_RECORDS = 16384

--- Part `index` (from 0) of `n` of an array of `length` records holds first…last.
---@param index integer
---@param n integer
---@param length integer
---@return integer first
---@return integer last
function pack.slice(index, n, length)
    return math.floor(index * length / n) + 1, math.floor((index + 1) * length / n)
end

-- Fields of a pair's table beside key and value would be lost. (A third element is refused where the pair is packed.)
local function refuse_fields(array, first, last)
    local at = iterate.beyond_pair(array, first, last)
    for name in iterate.pairs(array[at] or {}) do
        if name ~= 1 and name ~= 2 and name ~= 3 then
            error(("record %d: a pair is {key, value}, and it has the field %s, which would be lost: put it into the value, such as "
                .. "{key, {a, b}}"):format(at, type(name) == "string" and "'" .. name .. "'" or "[" .. preview(name) .. "]"), 0)
        end
    end
end

local function pack_slices(array, n, arity, add)
    for index = 0, n - 1 do
        local first, last = pack.slice(index, n, #array)
        local blocks = {}
        add(blocks)
        while first <= last do
            local stop = math.min(last, first + BLOCK_RECORDS - 1)
            if arity == 2 then
                refuse_fields(array, first, stop)
            end
            blocks[#blocks + 1] = codec.block_of(array, first, stop, arity)
            first = stop + 1
        end
    end
end

--- Packs an array in partitions for engine:blocks. Bad records are an error at the caller's line.
---@param what string function that was called, for messages
---@param array any[]
---@param n integer partitions
---@param arity 1|2
---@return number[][] addresses of blocks
function pack.partitions(what, array, n, arity)
    local partitions = {}
    local ok, message = pcall(pack_slices, array, n, arity, function(blocks)
        partitions[#partitions + 1] = blocks
    end)
    if not ok then
        for _, blocks in ipairs(partitions) do
            for _, address in ipairs(blocks) do
                codec.release(address)
            end
        end
        memory.rethrow(message)
        check.fail("%s: %s", what, check.without_position(message))
    end
    return partitions
end

--- Gives a dataset what messages say of its records: where in the script they come from, and one of them.
---@param node userdata
---@param what string function that was called
---@param array any[]
---@param arity 1|2
function pack.describe(node, what, array, arity)
    local first = array[1]
    if first ~= nil then
        node:madeBy(("%s (%s)"):format(what, check.site()), arity == 2 and preview(first[1], first[2]) or preview(first))
    end
end

return pack
