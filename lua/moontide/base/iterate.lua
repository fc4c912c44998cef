--- pairs and next without a fault of LuaJIT. The 2.1 snapshots of 2022 compile `next`, and `for … in pairs(t)`, to code that
--- can pass over elements: no error, part of the table is just not seen ({1, 2} seen as {1}). It depends on how traces
--- happen to fall, so it comes and goes; spec/iterate_spec.lua finds it in the library's functions within seconds. The functions
--- here go through C (host/vm/walk.c), which LuaJIT calls and never compiles.
---
--- Worker states have them as globals, so functions of the script are safe there, and so has the program's own
--- state; modules of ours that walk tables of the script take them from here.
if not package.preload["moontide.walk"] then
    require "moontide.core"
end
local walk = require "moontide.walk"

local iterate = {}

local type, library_pairs = type, pairs

--- Like the library's.
iterate.next = walk.next

--- Length of a table whose keys are all positive whole numbers, few of them missing; 0 for an empty table, nil for any other.
---@type fun(t: table): integer?
iterate.array_length = walk.array_length

--- The keys of a table, and how many there are.
---@type fun(t: table): any[], integer
iterate.keys = walk.keys

--- The index of the first of records[first … last] that is a table with more than two entries; nil when there is none.
---@type fun(records: any[], first: integer, last: integer): integer?
iterate.beyond_pair = walk.beyond_pair

--- The light userdata NULL.
iterate.null = walk.null

--- What packs whole tables, see host/vm/pack_table.h.
iterate.packer = walk.packer

local step = walk.next

--- Like the library's.
---@param t any
---@return function step
---@return any t
function iterate.pairs(t)
    if type(t) ~= "table" then
        return library_pairs(t)
    end
    return step, t, nil
end

--- Makes them the globals of this state.
function iterate.install()
    rawset(_G, "next", iterate.next)
    rawset(_G, "pairs", iterate.pairs)
end

return iterate
