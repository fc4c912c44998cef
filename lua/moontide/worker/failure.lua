--- Turns an error that is raised while records are processed into one complete message for people: what failed, at which line of the
--- script, in which operator, on which record. The record costs nothing until then: it is read from the locals of the generated
--- functions on the stack (generate.lua, loops.lua).
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local hints = require "moontide.worker.hints"
local memory = require "moontide.base.memory"
local plain = require "moontide.base.plain"

local C = fast.C

local failure = {}

local FRAMES = 200 -- inspected at either end of the stack; the recursion between them is left out
local SHOWN = 20 -- lines of a traceback

--- Codes for failures that are no mistake of the script.
failure.ENOMEM, failure.ECANCELLED, failure.EMIXED = C.TIDE_ENOMEM, C.TIDE_ECANCELLED, C.TIDE_EMIXED

--- An error whose text is complete: outer handlers pass it on as it is.
local Complete = { __tostring = function(e) return e.text end }

--- An error that the worker raises for an operator, whose name and call site the message needs: a function of the script broke a rule
--- (it returned nil where a value must be …), or a file cannot be read.
local Broken = { __tostring = function(e) return e.text end }

--- Raises that operator `op` broke a rule.
function failure.broken(op, text) error(setmetatable({ op = op, text = text }, Broken), 0) end

--- Raises that operator `op` needs pairs and got the single value `a`.
---@param op table
---@param a any
---@param advice? string appended
function failure.not_pairs(op, a, advice)
    failure.broken(op, "needs (key, value) pairs, but the record is the single value " .. failure.preview(a)
        .. "; make pairs with map(function(x) return key, value end)" .. (advice or ""))
end

--- Raises what a function of C left in `err`, as a failure of operator `op` (nil: of the one whose function calls).
---@param op table?
---@param err ffi.cdata* struct tide_error
---@param default string when C said nothing
---@param advice? string appended
function failure.from_c(op, err, default, advice)
    local code = err.code == failure.ENOMEM and err.code or nil
    local text = failure.take(err, default) .. (advice or "")
    error(setmetatable({ op = op, text = text, code = code }, Broken), 0)
end

--- The message that a function of C left in `err`, which is empty again then.
---@param err ffi.cdata* struct tide_error
---@param default string when C said nothing
---@return string
function failure.take(err, default)
    local text = err.text ~= nil and fast.ffi.string(err.text) or default
    fast.C.tide_error_clear(err)
    return text
end

--- Raises a complete text with a code.
function failure.complete(text, code) error(setmetatable({ text = text, code = code }, Complete), 0) end

--- Makes the function that generated code calls with a table that has a metatable: raises unless that is a mark.
function failure.has_metatable(op)
    return function(t)
        if not plain.mark(t) then
            failure.broken(op, plain.refusal(t, t))
        end
    end
end

--- What memory.exhausted raises in a worker.
function failure.exhausted() return setmetatable({ text = "out of memory", code = failure.ENOMEM }, Broken) end

failure.no_memory = memory.exhausted

local chunks = {} -- chunk name → { line → op }
local looks = {} -- chunk name → function that finds the record in the locals of its functions
local makes = {} -- chunk name → true: its first operator makes the records; what it reads from blocks is not one

-- Sources of our own modules. A script may well lie in a folder called moontide.
local modules = {}
for name in pairs(package.preload) do
    local path = "@" .. name:gsub("%.", "/")
    modules[path .. ".lua"], modules[path .. "/init.lua"] = true, true
end

--- Is this the source of one of our modules, or of generated code?
function failure.is_ours(source) return modules[source] or chunks[source] ~= nil end
jit.off(failure.is_ours) -- see on_trace in lua/moontide/worker/init.lua

--- Registers a generated chunk, so that failures in it name the operator.
---@param name string chunk name
---@param lines table<integer, table> operator of each line
---@param first table? the first operator
---@param look? fun(locals: table<string, any>): string? finds the record in the locals of the chunk's functions
function failure.register(name, lines, first, look)
    chunks[name] = lines
    makes[name] = first and first.source
    looks[name] = look
end

function failure.forget(name) chunks[name], makes[name], looks[name] = nil, nil, nil end

local frames = setmetatable({}, { __mode = "k" }) -- function → `look` of failure.frame

--- Registers a function of ours that calls functions of the script. `look` finds the operator in its locals, and maybe the record.
---@param fn function
---@param look fun(locals: table<string, any>): table, string?
function failure.frame(fn, look) frames[fn] = look end

failure.preview = require "moontide.base.preview"

-- The index-th record of a block, read again for the message.
local function record_of(block, index)
    local p, at = block.data, 0
    if index < 0 or index >= block.count then
        return nil
    end
    if block.kind == C.TIDE_BLOCK_TEXT then
        local line = block.lines[index]
        return fast.ffi.string(p + line.offset, line.length)
    end
    local a, b
    for _ = 0, index do
        a, at = codec.decode(p, at)
        if block.arity == 2 then
            b, at = codec.decode(p, at)
        end
    end
    return a, b
end

-- Locals of a frame by name; of several with one name, the innermost.
local function locals_of(level)
    local locals = {}
    for at = 1, 250 do
        local name, value = debug.getlocal(level + 1, at)
        if name == nil then
            break
        end
        locals[name] = value
    end
    return locals
end

-- Number of the outermost frame, as seen by the caller.
local function depth_of_stack()
    local low, high = 1, 16
    while debug.getinfo(high, "l") do low, high = high, high * 2 end
    while high - low > 1 do
        local middle = math.floor((low + high) / 2)
        if debug.getinfo(middle, "l") then
            low = middle
        else
            high = middle
        end
    end
    return low - 1
end

-- The levels to look at, from the innermost one on.
local function levels(first, last)
    local at = first - 1
    return function()
        at = at + 1
        if at == first + FRAMES and at < last - FRAMES then
            at = last - FRAMES
        end
        if at <= last then
            return at
        end
    end
end

-- Inspects our frames below the failing one: the innermost gives the operator, one with a block the record.
local function locate(level)
    local op, preview
    for at in levels(level + 1, depth_of_stack()) do
        local info = debug.getinfo(at, "Slf")
        local lines, look = chunks[info.source], frames[info.func]
        if lines then
            op = op or lines[info.currentline]
            local locals = locals_of(at)
            if looks[info.source] then
                preview = looks[info.source](locals)
                if preview then
                    break
                end
            end
            if makes[info.source] then
                if locals.v1 ~= nil then
                    preview = failure.preview(locals.v1, locals.w1)
                end
                if locals.block ~= nil then
                    break
                end
            elseif locals.block ~= nil then
                local ok, a, b = pcall(record_of, locals.block, locals.i or -1)
                if ok and a ~= nil then
                    preview = failure.preview(a, b)
                end
                break
            elseif locals.range ~= nil then
                preview = failure.preview(locals.a0)
                break
            end
            if locals.a0 ~= nil and not makes[info.source] then
                preview = preview or failure.preview(locals.a0, locals.b0)
            end
        elseif look and not op then
            op, preview = look(locals_of(at))
            break
        end
    end
    return op, preview
end

local string_format = string.format

--- Which operator a line of generated code works for, as "job.lua:12 (map)"; nil when the code is not generated.
function failure.place(source, line)
    local op = chunks[source] and chunks[source][line]
    return op and string_format("%s (%s)", op.site or "?", op.name or op.kind)
end
jit.off(failure.place)

-- Frames of the script only: the machinery around them is ours.
local function script_traceback(level, op)
    local lines, skipped, before = {}, nil, level
    for at in levels(level + 1, depth_of_stack()) do
        if at ~= before + 1 then
            skipped = #lines
        end
        before = at
        local info = debug.getinfo(at, "Sln")
        local ours = failure.is_ours(info.source)
        if ours and lines[1] then
            if op and not lines[#lines]:find("in main chunk", 1, true) then
                lines[#lines] = lines[#lines]:match("^[^ ]*") .. " in the function given to " .. (op.name or op.kind)
            end
            break
        elseif not ours and info.currentline > 0 then
            lines[#lines + 1] = ("%s:%d: in %s"):format(info.short_src, info.currentline, info.what == "main" and "main chunk"
                or info.name and "function '" .. info.name .. "'"
                or ("function <%s:%d>"):format(info.short_src, info.linedefined))
        end
    end
    if #lines > SHOWN or skipped then
        local short, tail = {}, math.floor(SHOWN / 4)
        for at = 1, math.min(SHOWN - tail, skipped or SHOWN) do short[at] = lines[at] end
        short[#short + 1] = "…"
        for at = #lines - tail + 1, #lines do short[#short + 1] = lines[at] end
        return short
    end
    return lines
end

local text_of = failure.preview.raised

local function name_of(op) return (op.name or op.kind) .. (op.site and " (" .. op.site .. ")" or "") end

local function place_of(context)
    local where = ("partition %d"):format(context.partition)
    return context.batch_time >= 0 and ("batch %d ms, "):format(context.batch_time) .. where or where
end

-- After a stack overflow a handler has no stack left: it keeps the traceback of the library, and the message is made of that when the
-- frames are gone.
local overflow = { traceback = "" }

local function overflow_text(context)
    local lines, op = {}, nil
    for text in overflow.traceback:gmatch "[^\n]+" do
        local source, at = text:match "^%s*(stage#%d+):(%d+):"
        if source then
            op = op or chunks["=" .. source] and chunks["=" .. source][tonumber(at)]
        end
        if text:find "^%s*%.%.%.$" then
            lines[#lines + 1] = "…"
        elseif not op and not source and text:find "^%s+[^%[]" and not modules["@" .. (text:match "^%s*(.-):" or "")] then
            lines[#lines + 1] = text:match "^%s*(.*)"
        end
    end
    if op and lines[1] then
        lines[#lines] = lines[#lines]:gsub("in function 'f%d+'$", "in the function given to " .. (op.name or op.kind))
    end
    local first = lines[1] and lines[1]:match "^.-:%d+: "
    return ("%sstack overflow: a function calls itself without end\n  in %s%s\n  traceback:\n    %s"):format(first or "",
        op and name_of(op) .. ", " or "", place_of(context), table.concat(lines, "\n    "))
end

local function message(err, context)
    local broken = getmetatable(err) == Broken
    local op, preview = locate(3)
    local parts
    if broken then
        op = err.op or op
        parts = { (op and (op.site and op.site .. ": " or "") .. (op.name or op.kind) .. ": " or "") .. err.text }
    else
        -- A function that ended in a tail call has no frame any more, and the position is one of ours.
        local text = text_of(err)
        local theirs = text:gsub("^stage#%d+:%d+: ", ""):gsub("^moontide/worker/%w+%.lua:%d+: ", "")
        parts = { hints.add((theirs ~= text and op and op.site and op.site .. ": " or "") .. theirs) }
    end
    parts[#parts + 1] = "  in " .. (op and name_of(op) .. ", " or "") .. place_of(context)
    if not (op and op.site) then
        parts[#parts + 1] = "  operators: " .. context.operators
    end
    if preview then
        parts[#parts + 1] = "  record: " .. preview
    end
    if not broken then
        local lines = script_traceback(3, op)
        if #lines > 1 then
            parts[#parts + 1] = "  traceback:\n    " .. table.concat(lines, "\n    ")
        end
    end
    return setmetatable({ text = table.concat(parts, "\n"), code = broken and err.code or nil }, Complete)
end

--- Makes a message handler for xpcall around a task's work, and a function for the error that xpcall returns, which gives { text, code }.
---@param context { batch_time: integer, partition: integer, operators: string }
function failure.handler(context)
    local traceback, find = debug.traceback, string.find
    local function handle(err)
        if type(err) == "string" and find(err, "stack overflow$") then
            overflow.traceback = traceback("", 1)
            return overflow
        end
        if getmetatable(err) == Complete or err == overflow then
            return err
        end
        local made = message(err, context)
        return made
    end
    local function settle(err)
        if getmetatable(err) == Complete then
            return err
        end
        local text
        if err == overflow then
            text = overflow_text(context)
        else
            text = text_of(err)
            if find(text, "stack overflow$") then
                text = text .. ": a function calls itself without end"
            end
            text = text .. "\n  in " .. place_of(context) .. "\n  operators: " .. context.operators
        end
        return setmetatable({ text = text }, Complete)
    end
    return handle, settle
end

return failure
