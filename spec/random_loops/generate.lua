-- Random loops around tables, as text: constructors of many kinds, stores and loads by field, small and large index, removal,
-- tables that are carried to the next turn by a local, an upvalue or a field, lengths, branches, inner loops, calls, variable
-- arguments, recursion, metamethods, strings, integers of 64 bits. Each is a function that returns a checksum of all that it
-- read. Lengths are asked of lists without holes only: of others any border is right.

local generate = {}

local FIELDS = { "a", "b", "c", "d" }

-- A small generator of its own, so that a seed means the same loop everywhere.
local function drawer(seed)
    local state = seed % 2147483646 + 1
    for _ = 1, 3 do state = (state * 16807) % 2147483647 end
    return function(n)
        state = (state * 16807) % 2147483647
        return state % n + 1
    end
end

local function pick(g, list) return list[g.draw(#list)] end

local Loop = {}
Loop.__index = Loop

-- What is compiled wrongly where the compiler is not watched (lua/moontide/base/jit_refusals.lua).
local WATCHED = { "%.%.%.", "several%(", "joined", "walk%(", "s:sub%(" }

function Loop:line(text, ...)
    local line = select("#", ...) > 0 and text:format(...) or text
    for _, pattern in ipairs(self.watched and {} or WATCHED) do
        if line:find(pattern) then line = "note(i)" end
    end
    self.lines[#self.lines + 1] = ("    "):rep(self.depth) .. line
end

-- Values: of the types that a slot of a table may hold.
function Loop:value()
    return pick(self, { "i", "b", "s", "x", "nil", "true", "1", "i * 0.5", "'t' .. i % 3", "i % 2 == 0", "-i", "i + 1" })
end

function Loop:scalar() return pick(self, { "i", "x", "1", "i + 1", "i * 0.5", "s", "b" }) end

function Loop:index()
    return pick(self, { "1", "2", "3", "i % 4 + 1", "i % 3 + 1", "i", "k", "#list + 1", "1000", "i + 1000", "'a'", "'b'", "s", "at" })
end

function Loop:constructor()
    local kind = self.draw(10)
    if kind == 1 then return "{}" end
    if kind == 2 then return ("{ %s }"):format(self:value()) end
    if kind == 3 then return ("{ %s, %s, %s }"):format(self:value(), self:value(), self:value()) end
    if kind == 4 then return ("{ a = %s, b = %s }"):format(self:value(), self:value()) end
    if kind == 5 then return ("{ 1, 2, 3, %s }"):format(self:value()) end
    if kind == 6 then return ("{ a = 1, b = %s, c = 'x' }"):format(self:value()) end
    if kind == 7 then return ("{ %s, a = %s, nil, %s }"):format(self:value(), self:value(), self:value()) end
    if kind == 8 then return ("{ [%s] = %s }"):format(pick(self, { "i", "s", "i % 3 + 1", "1" }), self:value()) end
    if kind == 9 then return "{ 1, 2, 3, 4, 5, 6, 7, 8 }" end
    return ("{ a = { %s }, b = %s }"):format(self:scalar(), self:value())
end

function Loop:table() return pick(self, { "t", "t", "t", "u", "old", "up" }) end

function Loop:read() return self.draw(4) == 1 and pick(self, { "list", "view.list", "fresh" }) or self:table() end

local statements = {
    function(g) g:line("t = %s", g:constructor()) end,
    function(g) g:line("u = %s", g:constructor()) end,
    function(g) g:line("%s.%s = %s", g:table(), pick(g, FIELDS), g:value()) end,
    function(g) g:line("%s[%s] = %s", g:table(), g:index(), g:scalar()) end,
    function(g) g:line("%s[%s] = nil", g:table(), g:index()) end,
    function(g) g:line("note(%s.%s)", g:read(), pick(g, FIELDS)) end,
    function(g) g:line("note(%s[%s])", g:read(), g:index()) end,
    function(g) g:line("note(#%s)", pick(g, { "list", "view.list", "fresh" })) end,
    function(g) g:line("local before = #list view.list[before + 1] = %s note(#list - before)", g:scalar()) end,
    function(g) g:line("list[#list + 1] = %s note(#view.list)", g:scalar()) end,
    function(g) g:line("u, t = t, u") end,
    function(g) g:line("old = t") end,
    function(g) g:line("up = %s", pick(g, { "t", "u", g:constructor() })) end,
    function(g) g:line("holder.t = %s note(holder.t.a)", pick(g, { "t", "u", "old" })) end,
    function(g) g:line("t = holder.t") end,
    function(g) g:line("x = %s", pick(g, { "i * 2", "x + 1", "#list", "tonumber(t[1]) or x" })) end,
    function(g) g:line("b = %s", pick(g, { "not b", "t.a == nil", "i % 3 == 0" })) end,
    function(g) g:line("s = %s", pick(g, { "'t' .. i % 3", "s", "tostring(i % 5)" })) end,
    function(g) g:line("at = i %% %d + %d", g.draw(3) + 1, g.draw(3)) end,
    function(g) g:line("table.insert(%s, %s)", pick(g, { "list", "view.list", "fresh" }), g:scalar()) end,
    function(g) g:line("note(table.remove(%s))", pick(g, { "list", "view.list" })) end,
    function(g) g:line("rawset(%s, %s, %s) note(rawget(t, 1))", g:table(), g:index(), g:scalar()) end,
    function(g) g:line("note(select('#', unpack(%s, 1, 3))) note((unpack(%s, 1, 2)))", g:read(), g:read()) end,
    function(g) g:line("local p = pass(%s, %s) note(p.%s) note(p[1])", g:table(), g:value(), pick(g, FIELDS)) end,
    function(g) g:line("fresh = {} for j = 1, i %% %d do fresh[j] = %s end note(#fresh)", g.draw(6), g:scalar()) end,
    function(g)
        g:line("local was = %s[%s]", g:table(), g:index())
        g:statement()
        g:line("note(was)")
    end,
    function(g)
        g:line("do local first = %s[%s] if type(first) ~= 'number' then first = 1 end",
            pick(g, { "list", "view.list", "t", "({ i, x, 2, 3 })", "four[i]", "four[i]" }), pick(g, { "1", "2", "#list" }))
        g:line("%s x = x %% 1000 + first end note(x)", pick(g, {
            "list[#list + 1] = i", "view.list[#list + 1] = x", "t[i] = i", "t[5] = i", "t['k' .. i % 7] = i",
            "if four[i] then four[i][5] = x end", "if four[i] then four[i][#four[i] + 1] = x end", "four[i].a = 1",
        }))
    end,
    function(g) g:line("note((...)) note((select(i % 5 + 1, ...)))") end,
    function(g) g:line("local one, two, three = ... note(%s) note(three)", pick(g, { "one", "two" })) end,
    function(g) g:line("note(several(i, x, %s)) note(several(i))", g:value()) end,
    function(g) g:line("strict.%s = %s note(strict.a)", pick(g, FIELDS), g:value()) end,
    function(g) g:line("strict[%s] = %s note(news)", pick(g, { "'a'", "'b'", "at", "i % 4", "s" }), pick(g, { "nil", "i", "b" })) end,
    function(g) g:line("t = %s", pick(g, { "strict", "holder", "setmetatable({ a = i }, getmetatable(strict))" })) end,
    function(g) g:line("note(walk(%s, %d))", g:read(), g.draw(4)) end,
    function(g) g:line("note(%s)", pick(g, { "joined .. i .. 'x'", "i .. s .. joined", "s .. i .. 'y'", "joined .. joined" })) end,
    function(g) g:line("note(s:sub(%s)) note(s:byte(%s))", pick(g, { "i % 4", "-i % 3, 2", "at, -2", "2, i % 5 - 2" }), pick(g, { "at", "i % 4" })) end,
    function(g) g:line("local n = 0 for _, v in pairs(%s) do n = n + (v == nil and 100 or 1) end note(n)", g:read()) end,
    function(g)
        g:line("h = bit.%s(bit.%s(h * 31 + i, 0xff00ff00ffULL), %d) note(tonumber(h %% 65521ULL))",
            pick(g, { "lshift", "rshift", "arshift", "rol", "ror" }), pick(g, { "band", "bor", "bxor" }), pick(g, { 1, 8, 32 }))
    end,
    function(g) g:line("x = math.%s", pick(g, { "floor(i * 0.3)", "min(i, 7)", "max(i % 5, 2.5)", "ceil(-i / 4)", "abs(3 - i)" })) end,
    function(g)
        g:line("for j = 1, %d do", g.draw(4))
        g:inner()
        g:line("end")
    end,
    function(g)
        g:line("for k, v in ipairs(%s) do note(v) if k > 5 then break end end", g:read())
    end,
    function(g)
        g:line("if %s then", pick(g, { "i % 2 == 0", "i % 5 == 1", "b", "x > 20", "t.a", "#list > 8", "i > 30" }))
        g:inner()
        if g.draw(2) == 1 then
            g:line("else")
            g:inner()
        end
        g:line("end")
    end,
}

function Loop:statement() statements[self.draw(#statements)](self) end

function Loop:inner()
    if self.depth > 3 then return self:line("note(i)") end
    self.depth = self.depth + 1
    self:line("do")
    for _ = 1, self.draw(2) do self:statement() end
    self:line("end")
    self.depth = self.depth - 1
end

local HEAD = [[
local function loop(...)
    local sum, count = 0, 0
    local function note(value)
        count = count + 1
        local kind = type(value)
        local n = kind == "number" and value or kind == "string" and #value + 0.25 or kind == "table" and 77
            or value == true and 3 or value == false and 5 or 11
        sum = (sum * 31 + n) %% 1000003
    end
    local up = { a = 1 }
    local function pass(t, v)
        t.%s = v
        up = %s
        return %s
    end
    local function several(...)
        local sum = 0
        for j = 1, 3 do local a, b = ... sum = sum + (type(a) == "number" and a or 7) * j + (b and 3 or 1) end
        return sum
    end
    local function walk(t, depth)
        if type(t) ~= "table" or depth == 0 then return type(t) == "number" and t %% 7 or 1 end
        local left = walk(t.a, depth - 1)
        return left + walk(t[1], depth - 1) * 3 + 1
    end
    local joined = setmetatable({}, { __concat = function(...)
        local a, b = ...
        return (type(a) == "table" and "A" or a) .. (type(b) == "table" and "B" or b)
    end })
    local news = 0
    local strict = setmetatable({}, { __newindex = function(t, k, v) news = news + 1 rawset(t, k, v) end })
    local list, x, b, s, at, k = {}, 0, true, "s", 1, 2
    local view, holder, fresh = { list = list }, { t = { 1, a = 2 } }, {}
    local t, u, old = { 1 }, {}, { a = 0 }
    local h, four = 0x123456789abcdefULL, {}
    for j = 1, %d do
        four[j] = {}
        for n = 1, 4 do four[j][n] = j + n * 0.5 end
    end
    for i = 1, %d do]]

local TAIL = [[
        if #list > 40 then list = {} view.list = list end
        note(x) note(b)
    end
    return sum, count
end
return loop]]

--- The text of a chunk that returns the loop of a seed.
---@param seed integer
---@param mode "worker"|"driver" of the state that is to run it
---@return string
function generate.loop(seed, mode)
    local g = setmetatable({ draw = drawer(seed), lines = {}, depth = 2, watched = mode == "worker" }, Loop)
    g:line("do") -- locals of statements end with their block
    for at = 1, 1 + g.draw(6) do
        if at % 4 == 0 then g:line("end do") end
        g:statement()
    end
    g:line("end")
    local turns = g.draw(8) == 1 and 300 or 50 + g.draw(30)
    local head = HEAD:format(pick(g, FIELDS), pick(g, { "t", "up", "{ a = v }" }), pick(g, { "t", "up", "{ v, a = t.a }" }), turns, turns)
    return head .. "\n" .. table.concat(g.lines, "\n") .. "\n" .. TAIL
end

return generate
