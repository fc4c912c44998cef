--- What terminals have in common. A terminal takes the records at the end of a chain of operators; one that ends a task is a sink
--- (sinks.lua), one that makes records for the next chain the end of a partition (partition_ends.lua, hadoop.lua, pull.lua).
---
---@class moontide.worker.Terminal
---@field op table the descriptor it was made for
---@field prologue string text in front of the loop, where S is the state
---@field constants fun(self, K: table, feed: moontide.worker.Feed) adds to K what its text uses
---@field begin fun(self, state: moontide.worker.State) before the first record
---@field record fun(self, g: table, arity: 1|2, a: string, b: string?) writes the text that takes the record in the locals a and b
---@field whole? fun(self, state: moontide.worker.State, block: ffi.cdata*, feed: moontide.worker.Feed): boolean takes a block without
---   looking at its records, where no operator stands before it; false: it has to be read
---@field finish fun(self, state: moontide.worker.State, emit: fun(a: any, b: any)?) after the last record; emit gets what it makes
---@field can_stop? boolean its text may return true: no more records are wanted
local arity = require "moontide.worker.arity"

local terminals = {}

--- A class of terminals, from its methods; those of `parent` where it has none of its own.
---@param methods table
---@param parent? table
---@return table class
function terminals.class(methods, parent)
    methods.__index = methods
    if parent then
        return setmetatable(methods, parent)
    end
    methods.constants = methods.constants or function() end
    methods.begin = methods.begin or function() end
    methods.prologue = methods.prologue or ""
    return methods
end

--- What makes terminals of a class, for the registry of kinds.
---@param class table
---@param fields? table that all of them have
---@return fun(op: table): moontide.worker.Terminal
function terminals.maker(class, fields)
    return function(op)
        local terminal = setmetatable({ op = op }, class)
        for name, value in pairs(fields or {}) do terminal[name] = value end
        return terminal
    end
end

--- Adds the constant that the text of check_arity uses.
function terminals.use_arity(K, feed)
    K.reach = function(state, kind, a, b) arity.reach(state, kind, feed, a, b) end
end

--- Writes text that makes sure that a terminal gets records of one arity. Pairs and single values may meet where a union was joined in
--- one task.
function terminals.check_arity(g, op, kind, a, b)
    g:uses "reach"
    g:line(op, "if S.arity ~= $kind then reach(S, $kind, $record) end", { kind = kind, record = terminals.arguments(kind, a, b) })
end

--- The record in the locals a and b as arguments of a call.
function terminals.arguments(kind, a, b) return kind == 2 and a .. ", " .. b or a end

--- The same as one value.
function terminals.element(kind, a, b) return kind == 2 and "{" .. a .. ", " .. b .. "}" or a end

return terminals
