--- Restores the templates of table constructors in loaded functions.
---
--- `{ user = a, n = b }` copies a template that has the keys user and n, with nil as values, and then stores into it. Dumps by LuaJIT's
--- betas leave out nil (mended in January 2024): in a shipped function the copy begins empty, and each store adds a key, so that a
--- table of three fields is rehashed twice.
local jit_fixes = require "moontide.base.jit_fixes"

local templates = {}

local util = require "jit.util"
local band, rshift = bit.band, bit.rshift
local constant, instruction_at, info_of = util.funck, util.funcbc, util.funcinfo

local function opcode_at(fn, pc) return band(instruction_at(fn, pc) or 0, 0xff) end

local TDUP = opcode_at(function() return { 1 } end, 1)
local TSETS = opcode_at(function(t, v) t.x = v end, 1)
local TSETV, TSETB = opcode_at(function(t, k) t[k] = k end, 1), opcode_at(function(t, v) t[1] = v end, 1)

local function register_a(instruction) return band(rshift(instruction, 8), 0xff) end

-- The names stored into what `pc` copies. The search ends where another value comes into its register, at the latest; names that
-- are stored there under some condition only do no harm.
local function stored_names(fn, pc, last)
    local at, names = register_a(instruction_at(fn, pc)), {}
    for next_pc = pc + 1, last do
        local instruction = instruction_at(fn, next_pc)
        local opcode = band(instruction, 0xff)
        if opcode == TSETS then
            if rshift(instruction, 24) == at then
                names[#names + 1] = constant(fn, -band(rshift(instruction, 16), 0xff) - 1)
            end
        elseif opcode ~= TSETV and opcode ~= TSETB and register_a(instruction) == at then
            break
        end
    end
    return names
end

-- All keys are set before any is cleared, so that none takes the place of another.
local function make_room(template, names)
    local new = {}
    for _, name in ipairs(names) do
        if rawget(template, name) == nil then
            template[name] = true
            new[#new + 1] = name
        end
    end
    for _, name in ipairs(new) do template[name] = nil end
end

local function restore(fn)
    local last = info_of(fn).bytecodes - 1
    for pc = 1, last do
        local instruction = instruction_at(fn, pc)
        if band(instruction, 0xff) == TDUP then
            make_room(constant(fn, -rshift(instruction, 16) - 1), stored_names(fn, pc, last))
        end
    end
    if not info_of(fn).children then
        return
    end
    local at = -1
    while true do
        local child = constant(fn, at)
        if child == nil then
            return
        end
        if type(child) == "proto" then
            restore(child)
        end
        at = at - 1
    end
end

--- Like `load(dump, name, "b", env)`; the functions in it have their templates as the source says.
---@param dump string
---@param name string
---@param env? table
---@return function? fn
---@return string? err
function templates.load(dump, name, env)
    local fn, err = load(dump, name, "b", env)
    if fn and jit_fixes.beta then
        restore(fn)
    end
    return fn, err
end

return templates
