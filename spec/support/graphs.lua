-- Circles in a directed graph, for spec/layers_spec.lua: who includes or requires whom.

local graphs = {}

local function sorted_keys(set)
    local keys = {}
    for key in pairs(set) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    return keys
end

-- The shortest way from `start` back to itself, as an array of nodes; nil when there is none.
local function shortest_way_back(edges, start)
    local came_from, queue, at = {}, { start }, 1
    while queue[at] do
        local node = queue[at]
        at = at + 1
        for _, next_node in ipairs(sorted_keys(edges[node] or {})) do
            if next_node == start then
                local way = { start }
                while node do
                    table.insert(way, 1, node)
                    node = came_from[node]
                end
                return way
            end
            if came_from[next_node] == nil then
                came_from[next_node] = node
                queue[#queue + 1] = next_node
            end
        end
    end
    return nil
end

--- Circles of a graph: every node that lies on one is in at least one of them.
---@param edges table<string, table<string, boolean>> node → set of nodes it points to
---@return string[] circles "a → b → a", in the order of the nodes' names
function graphs.circles(edges)
    local found, seen = {}, {}
    for _, node in ipairs(sorted_keys(edges)) do
        local way = not seen[node] and shortest_way_back(edges, node)
        if way then
            for _, member in ipairs(way) do
                seen[member] = true
            end
            found[#found + 1] = table.concat(way, " → ")
        end
    end
    return found
end

return graphs
