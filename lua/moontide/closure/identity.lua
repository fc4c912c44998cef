--- Remembers which tables and shared variables were packed before, so that closures packed at different calls can share
--- them again in a worker, without giving up that equal closures have equal packages.
--
-- The tension. Two closures of one stage that use the same table, or assign to the same variable, must do so in the
-- worker too, although each was packed on its own. Writing a process-wide unique number for every table into every
-- package would do that, and would also make each package unique: `transform` makes its closures anew for every batch,
-- so every batch would compile its stages again.
--
-- The answer. A package says nothing about its tables when they are met for the first time. Its content digest names
-- it, and (digest, node number) names each of its nodes from then on. A *later* package that meets one of these tables
-- again adds a *claim*: "my node 3 is node 5 of package D". Claims stand behind the content and do not enter the
-- digest. A loader session merges the two when both packages are loaded in it (`moontide.closure.unpack`).
--
--   * Fresh closures over fresh values claim nothing: equal bytes in every batch.
--   * Fresh closures over long-lived tables claim the same nodes in every batch: equal bytes from the second batch on.
--   * Two closures made by one factory have equal packages and different tables. A claim says which one it means by its
--     rank: 0 for the package of that digest that was made last, 1 for the one before. Ranks count from the present, so
--     they too repeat from batch to batch. (Packages that brought other nodes of the same graph are counted apart, so
--     that fresh tables next to a long-lived one do not change the rank of the latter.)
--
-- What takes part: tables that travel by value, variables that are assigned to, environments. Functions need no
-- identity, their state is in their variables.
local format = require "moontide.closure.format"

---@class moontide.closure.identity
local M = {}

---@class moontide.closure.Instance one package that brought nodes never seen before
---@field name string content digest
---@field first? integer the first new node
---@field count integer how many were new
---@field serial? integer how many packages with these three had been made, with this one

local weak_keys = { __mode = "k" }

-- The package that brought a table, and its node number there. A table can be both a value and the environment of
-- functions, and these are two nodes.
local table_instance, table_node = setmetatable({}, weak_keys), setmetatable({}, weak_keys)
local env_instance, env_node = setmetatable({}, weak_keys), setmetatable({}, weak_keys)

-- Variables are known by an address only, which may be used again when the variable is gone. A small function that has
-- the variable as its upvalue keeps it alive while it is remembered. Both lists have two generations: an entry that is
-- not used while the young one fills up is forgotten, so memory is bounded and what is forgotten does not depend on
-- when the garbage collector runs.
local CELL_GENERATION = 256
local COUNT_GENERATION = 4096
local MAX_RANK = 7

local function generations(size)
    local young, old, used = {}, {}, 0
    local function put(key, value)
        if young[key] == nil then
            if used == size then
                old, young, used = young, {}, 0
            end
            used = used + 1
        end
        young[key] = value
    end
    local function get(key)
        local value = young[key]
        if value == nil then
            value = old[key]
            if value ~= nil then
                put(key, value)
            end
        end
        return value
    end
    return get, put
end

---@class moontide.closure.KnownCell
---@field instance moontide.closure.Instance
---@field node integer
---@field keep function

local get_cell, put_cell = generations(CELL_GENERATION)
local get_count, put_count = generations(COUNT_GENERATION)

local function keeper()
    local variable = nil
    return function()
        return variable
    end
end

local function count_key(instance)
    return instance.name .. instance.first .. "/" .. instance.count
end

---@class moontide.closure.Tracked
---@field node integer
---@field table? table a table
---@field env? table an environment
---@field cell? userdata debug.upvalueid of a variable
---@field fn? function a function that has the variable
---@field upvalue? integer and its number there

--- Names the nodes of a package that are new; returns the claims on those that are not.
---@param tracked moontide.closure.Tracked[] by rising node number
---@param name string content digest of the package
---@return string claims
function M.settle(tracked, name)
    local fresh, groups
    for i = 1, #tracked do
        local item = tracked[i]
        local instance, node
        if item.cell then
            local known = get_cell(item.cell)
            if known then
                instance, node = known.instance, known.node
            end
        elseif item.env then
            instance, node = env_instance[item.env], env_node[item.env]
        else
            instance, node = table_instance[item.table], table_node[item.table]
        end
        if instance then
            groups = groups or {}
            local group = groups[instance]
            if not group then
                group = { instance = instance }
                groups[instance] = group
                groups[#groups + 1] = group
            end
            group[#group + 1] = item.node
            group[#group + 1] = node
        else
            fresh = fresh or { name = name, first = item.node, count = 0 }
            fresh.count = fresh.count + 1
            if item.cell then
                local keep = keeper()
                debug.upvaluejoin(keep, 1, item.fn, item.upvalue)
                put_cell(item.cell, { instance = fresh, node = item.node, keep = keep })
            elseif item.env then
                env_instance[item.env], env_node[item.env] = fresh, item.node
            else
                table_instance[item.table], table_node[item.table] = fresh, item.node
            end
        end
    end
    if fresh then
        local key = count_key(fresh)
        fresh.serial = (get_count(key) or 0) + 1
        put_count(key, fresh.serial)
    end
    if not groups then
        return ""
    end

    local w = format.writer(math.huge)
    w:uint(#groups)
    for i = 1, #groups do
        local group = groups[i]
        local instance = group.instance
        local rank = (get_count(count_key(instance)) or 0) - instance.serial
        w:raw(instance.name, #instance.name)
        w:uint(instance.first)
        w:uint(instance.count)
        w:uint(math.max(0, math.min(rank, MAX_RANK)))
        w:uint(#group / 2)
        for j = 1, #group do
            w:uint(group[j])
        end
    end
    return w:bytes()
end

return M
