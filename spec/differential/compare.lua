-- Holds what the library made against what the model says.

local values = require "spec.differential.values"

local compare = {}

local function records_of(partitions)
    local list = {}
    for _, partition in ipairs(partitions) do
        for _, record in ipairs(partition) do
            list[#list + 1] = record
        end
    end
    return list
end

local function show(texts)
    local text = table.concat(texts, " ")
    return #text > 400 and text:sub(1, 400) .. " …" or text
end

local function lists_differ(what, wanted, got)
    if table.concat(wanted, "\n") ~= table.concat(got, "\n") then
        return string.format("%s: expected %s, got %s", what, show(wanted), show(got))
    end
end

local function without_empty(partitions)
    local list = {}
    for _, partition in ipairs(partitions) do
        if #partition > 0 then
            list[#list + 1] = partition
        end
    end
    return list
end

local function partitions_differ(wanted, got)
    if #records_of(wanted) == 0 and #records_of(got) == 0 then
        return nil -- how many empty partitions nothing has is nobody's business
    end
    if #wanted ~= #got then
        return string.format("%d partitions expected, got %d", #wanted, #got)
    end
    for index, partition in ipairs(wanted) do
        local difference = lists_differ("partition " .. index, values.texts(partition), values.texts(got[index]))
        if difference then
            return difference
        end
    end
end

local function keys_scattered(partitions)
    local home = {}
    for index, partition in ipairs(partitions) do
        for _, record in ipairs(partition) do
            local text = values.text(record[1])
            if home[text] and home[text] ~= index then
                return string.format("key %s is in the partitions %d and %d", text, home[text], index)
            end
            home[text] = index
        end
    end
end

local function out_of_order(records, direction)
    for index = 2, #records do
        local a, b = records[index - 1][1], records[index][1]
        if direction > 0 and b < a or direction < 0 and a < b then
            return string.format("keys out of order: %s before %s", values.text(a), values.text(b))
        end
    end
end

local function dataset_differs(program, node, wanted, got)
    if node.exact and program.skip then -- what has failed may leave empty partitions
        return partitions_differ(without_empty(wanted), without_empty(got.partitions))
    elseif node.exact then
        return partitions_differ(wanted, got.partitions)
    end
    local difference = lists_differ("records", values.sorted_texts(records_of(wanted)), values.sorted_texts(got.records))
    if difference then
        return difference
    end
    if node.parts and not program.skip and #got.records > 0 and #got.partitions ~= node.parts then
        return string.format("%d partitions expected, got %d", node.parts, #got.partitions)
    end
    return node.hash and node.type.k and keys_scattered(got.partitions) or node.sorted and out_of_order(got.records, node.sorted)
end

local function output_differs(program, node, wanted, got)
    for index = 1, math.max(#wanted, #got) do
        local mine, theirs = wanted[index], got[index]
        if not mine or not theirs or mine.time ~= theirs.time then
            return string.format("output %d: expected %s, got %s", index,
                mine and "a dataset at " .. mine.time or "nothing", theirs and "one at " .. theirs.time or "nothing")
        end
        local difference = dataset_differs(program, node, mine.partitions, theirs)
        if difference then
            return string.format("at %d ms: %s", mine.time, difference)
        end
    end
end

--- What differs, or nil.
---@param program table
---@param wanted table of model.run
---@param got table of build.run
---@return string?
function compare.results(program, wanted, got)
    if wanted.failed ~= got.failed then
        return string.format("expected %s, got %s", wanted.failed and "a failure in batch " .. wanted.failed or "no failure",
            got.error or "none")
    end
    for index, id in ipairs(program.outputs) do
        local difference = output_differs(program, program.nodes[id], wanted.outputs[index], got.outputs[index] or {})
        if difference then
            return string.format("node %d, %s", id, difference)
        end
    end
end

return compare
