-- Makes a failing program smaller while it goes on failing, and writes programs down.

local values = require "spec.differential.values"

local shrink = {}

local function copy(value)
    if type(value) ~= "table" then
        return value
    end
    local made = {}
    for key, element in pairs(value) do
        made[key] = copy(element)
    end
    return made
end

-- The program without the nodes that no output needs.
local function tidy(program)
    local needed = {}
    local function need(id)
        if not needed[id] then
            needed[id] = true
            for _, parent in ipairs(program.nodes[id].from) do
                need(parent)
            end
        end
    end
    for _, id in ipairs(program.outputs) do
        need(id)
    end
    for id, node in ipairs(program.nodes) do
        if node.op == "input" then
            needed[id] = true
        end
    end
    local nodes, new_id = {}, {}
    for id, node in ipairs(program.nodes) do
        if needed[id] then
            nodes[#nodes + 1] = node
            new_id[id], node.id = #nodes, #nodes
            for index, parent in ipairs(node.from) do
                node.from[index] = new_id[parent]
            end
        end
    end
    program.nodes = nodes
    for index, id in ipairs(program.outputs) do
        program.outputs[index] = new_id[id]
    end
    return program
end

local function same_type(a, b)
    return a.t == b.t and a.k == b.k and a.v == b.v
end

-- What the generator knew about the arrangement of results does not hold in a changed program.
local function forget(program)
    for _, node in ipairs(program.nodes) do
        node.parts, node.hash, node.sorted = nil, nil, nil
    end
end

-- Smaller programs, the boldest first. Each is a function that changes a copy, or returns false.
local function candidates(program)
    local list = {}
    local function add(change)
        list[#list + 1] = change
    end
    if program.outputs[2] then
        add(function(p) p.outputs = { p.outputs[1] } end)
        add(function(p) p.outputs = { p.outputs[2] } end)
    end
    for id = 1, #program.nodes - 1 do
        add(function(p) p.outputs = { id } end)
    end
    for id, node in ipairs(program.nodes) do
        for _, parent in ipairs(node.from) do
            -- Those that read the node read its parent instead.
            local above = program.nodes[parent]
            if same_type(node.type, above.type) and node.slide == above.slide and not node.exact == not above.exact then
                add(function(p)
                    forget(p)
                    for _, other in ipairs(p.nodes) do
                        for index, from in ipairs(other.from) do
                            if from == id then other.from[index] = parent end
                        end
                    end
                    for index, out in ipairs(p.outputs) do
                        if out == id then p.outputs[index] = parent end
                    end
                end)
            end
        end
    end
    for batches = 1, program.batches - 1 do
        add(function(p) p.batches = batches end)
    end
    add(function(p) p.master = "local[1]" end)
    add(function(p) p.partitions = 1 end)
    for id, node in ipairs(program.nodes) do
        for _, field in ipairs { "n", "timeout", "window" } do
            if type(node[field]) == "number" and node[field] > 1 then
                add(function(p)
                    p.nodes[id][field] = 1
                    forget(p)
                end)
            end
        end
        if node.initial then
            add(function(p) p.nodes[id].initial = nil end)
        end
    end
    for index, input in ipairs(program.inputs) do
        for number, batch in ipairs(input.batches) do
            if batch == "none" then
                add(function(p) p.inputs[index].batches[number] = {} end)
            elseif #batch > 0 then
                add(function(p) p.inputs[index].batches[number] = {} end)
                for at = 1, #batch do
                    add(function(p) table.remove(p.inputs[index].batches[number], at) end)
                end
            end
        end
        if #input.batches > 0 then
            add(function(p) table.remove(p.inputs[index].batches) end)
        end
    end
    return list
end

local MOST_RUNS = 600

---@param program table
---@param fails fun(program: table): string? what differs
---@return table program
---@return string difference
function shrink.program(program, fails)
    local best = tidy(copy(program))
    local runs, smaller = 0, true
    local difference = fails(best)
    -- A program that is refused is no smaller form of one that gives something wrong.
    local refused = difference and difference:find("refuses", 1, true) ~= nil
    if not difference then
        return program, fails(program) or "it did not fail again"
    end
    while smaller and runs < MOST_RUNS do
        smaller = false
        for _, change in ipairs(candidates(best)) do
            local try = copy(best)
            change(try)
            try = tidy(try)
            if values.text(try) ~= values.text(best) then
                runs = runs + 1
                local ok, found = pcall(fails, try)
                if ok and found and (found:find("refuses", 1, true) ~= nil) == refused then
                    best, difference, smaller = try, found, true
                    break
                end
            end
            if runs >= MOST_RUNS then
                break
            end
        end
    end
    return best, difference
end

--- A program as text.
---@param program table
---@return string
function shrink.describe(program)
    local lines = {
        string.format("seed %s, %s, %d partitions, %d batches", tostring(program.seed), program.master, program.partitions,
            program.batches),
    }
    for index, input in ipairs(program.inputs) do
        lines[#lines + 1] = string.format("input %d: %s", index, values.text(input.batches))
    end
    local hidden = { id = true, op = true, from = true, type = true, exact = true, hash = true, parts = true, drawn = true }
    for id, node in ipairs(program.nodes) do
        local rest = {}
        for field, value in pairs(node) do
            if not hidden[field] then rest[field] = value end
        end
        lines[#lines + 1] = string.format("node %d: %s(%s) %s -> %s", id, node.op, table.concat(node.from, ", "),
            values.text(rest), node.type.t or node.type.k .. ", " .. node.type.v)
    end
    lines[#lines + 1] = "outputs: " .. table.concat(program.outputs, ", ")
    return table.concat(lines, "\n")
end

return shrink
