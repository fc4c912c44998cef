--- pairs and next without a fault of LuaJIT. The 2.1 snapshots of 2022 compile `for … in pairs(t)` to a special loop that, when it
--- is entered from a trace stitched after a C function (table.sort, string.gsub …), can end before the first element: no
--- error, the rest of the table is just not seen. It shows only under some trace layouts (spec/iterate_spec.lua has one). The special
--- loop is used only when the iterator is the library's own `next`; with the functions here LuaJIT compiles an ordinary loop,
--- which is right.
---
--- Worker states have them as globals, so functions of the script are safe there; modules of ours that walk tables of
--- the script's in the driver take them from here.
local iterate = {}

local library_next, library_pairs, type = next, pairs, type

--- Like the library's.
function iterate.next(t, k) return library_next(t, k) end

local step = iterate.next

--- Like the library's.
function iterate.pairs(t)
    if type(t) ~= "table" then return library_pairs(t) end
    return step, t, nil
end

--- Makes them the globals of this state.
function iterate.install()
    rawset(_G, "next", iterate.next)
    rawset(_G, "pairs", iterate.pairs)
end

return iterate
