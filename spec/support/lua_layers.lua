--- Checks the Lua modules of lua/ and stdlib/ against their layers. Used by spec/layers_spec.lua.
---
---     core < base < wire < closure < {worker, driver} < operators < public < shell < stdlib
---
--- A module requires its own layer and those to the left; braces do not include each other. `core` are the two C modules, `public`
--- the files of lua/moontide that scripts name. Modules are required at the top of a file. A `require` in a function, and any other
--- string that is a module's name, is lazy: LAZY lists each with the reason.

local lua_layers = {}

local ORDER = {
    { "core" }, { "base" }, { "wire" }, { "closure" }, { "worker", "driver" }, { "operators" }, { "public" }, { "shell" }, { "stdlib" },
}

local RANK = {}
for rank, names in ipairs(ORDER) do
    for _, name in ipairs(names) do
        RANK[name] = rank
    end
end

-- Linked into the program, or loaded from core.so.
local CORE = { ["moontide.core"] = true, ["moontide.walk"] = true }

local ON_ERROR = "only for the text of an error"
local IN_WORKERS = "a worker runs the function that requires it"
local ON_DEMAND = "few scripts use these methods; the first unknown name loads them"
local NOT_IN_WORKERS = "workers load `moontide` too, and need nothing of the driver"
local FEW_FILES = "few jobs read such files"
local FEW_STAGES = "a stage that has such an operator loads it"
local PROGRAM = "the program's own state needs it, the specs of the command line do not"

--- Module → modules it requires lazily → why.
lua_layers.LAZY = {
    ["moontide"] = {
        ["moontide.context"] = NOT_IN_WORKERS, ["moontide.streaming"] = NOT_IN_WORKERS,
        ["moontide.operators.partitioner"] = NOT_IN_WORKERS, ["moontide.operators.state"] = NOT_IN_WORKERS,
        ["moontide.driver.stats_report"] = NOT_IN_WORKERS, ["moontide.testing"] = NOT_IN_WORKERS,
        ["moontide.base.storage_level"] = "few scripts use it",
        ["moontide.worker.current"] = "is this state a worker's? It is not loaded, only looked for",
    },
    ["moontide.cli"] = {
        ["moontide.context"] = "`moontide help` needs no engine", ["moontide.driver.loop"] = "looked for: did the script load it?",
        ["moontide.driver.lifecycle"] = "looked for: did the script load it?", ["moontide.base.jit_fixes"] = PROGRAM,
        ["moontide.base.iterate"] = PROGRAM, ["moontide.base.finalizers"] = PROGRAM,
    },
    ["moontide.context"] = { ["moontide.operators.sources"] = ON_DEMAND, ["moontide.operators.checkpoint"] = ON_DEMAND },
    ["moontide.rdd"] = {
        ["moontide.operators.storage"] = ON_DEMAND, ["moontide.operators.save"] = ON_DEMAND, ["moontide.operators.joins"] = ON_DEMAND,
        ["moontide.operators.numbers"] = ON_DEMAND, ["moontide.operators.sets"] = ON_DEMAND,
        ["moontide.operators.sampling"] = ON_DEMAND, ["moontide.operators.checkpoint"] = ON_DEMAND,
    },
    ["moontide.dstream"] = {
        ["moontide.operators.windows"] = ON_DEMAND, ["moontide.operators.save"] = ON_DEMAND, ["moontide.operators.state"] = ON_DEMAND,
        ["moontide.operators.joins"] = ON_DEMAND, ["moontide.operators.storage"] = ON_DEMAND,
        ["moontide.operators.slices"] = ON_DEMAND, ["moontide.operators.checkpoint"] = ON_DEMAND,
        ["moontide.operators.save_to"] = ON_DEMAND,
    },
    ["moontide.streaming"] = {
        ["moontide.driver.checkpoint"] = "few scripts call checkpoint()", ["moontide.operators.file_streams"] = ON_DEMAND,
    },
    ["moontide.base.check"] = {
        ["moontide.base.values"] = "only arrays need it", ["moontide.base.iterate"] = "likewise",
        ["moontide.base.surplus"] = ON_ERROR,
    },
    ["moontide.base.iterate"] = { ["moontide.walk"] = "looked for: where the program does not have it, core.so does" },
    ["moontide.base.plain"] = { ["moontide.base.field_path"] = ON_ERROR },
    ["moontide.operators.handles"] = { ["moontide.operators.instead"] = ON_ERROR },
    ["moontide.operators.parts"] = { ["moontide.worker.save"] = IN_WORKERS },
    ["moontide.operators.checkpoint"] = { ["moontide.worker.sequence"] = IN_WORKERS },
    ["moontide.operators.keyed"] = { ["moontide.worker.surplus"] = IN_WORKERS },
    ["moontide.operators.order"] = { ["moontide.worker.surplus"] = IN_WORKERS },
    ["moontide.operators.partitioner"] = {
        ["moontide.closure.unpack"] = "only getPartition with a function runs it in the driver", ["moontide.worker.surplus"] = ON_ERROR,
    },
    ["moontide.operators.save"] = { ["moontide.worker.sequence"] = "only saveAsHadoopFile needs it in the driver" },
    ["moontide.operators.file_datasets"] = { ["moontide.worker.sequence"] = IN_WORKERS },
    ["moontide.wire.ffi"] = { ["moontide.wire.stress"] = "only in builds that test memory errors" },
    ["moontide.worker"] = {
        ["moontide.worker.scan"] = "only with the setting that asks for it", ["moontide.worker.coroutines"] = "after the globals are set",
        ["moontide.base.finalizers"] = "after the globals are set", ["moontide.worker.partition_ends"] = FEW_STAGES,
        ["moontide.worker.hadoop"] = FEW_STAGES, ["moontide.worker.joins"] = FEW_STAGES, ["moontide.worker.windows"] = FEW_STAGES,
        ["moontide.worker.state"] = FEW_STAGES,
    },
    ["moontide.worker.raw_files"] = { ["moontide.worker.byte_source"] = FEW_FILES },
    ["moontide.worker.sequence"] = { ["moontide.worker.byte_source"] = FEW_FILES },
    ["moontide.lineserver"] = {
        ["moontide.lineserver.process"] = "the server's process does not start another", ["moontide.lineserver.sockets"] = "likewise",
        ["moontide.lineserver.serve"] = "the server's process requires it",
    },
    ["moontide.lineserver.serve"] = { ["moontide.lineserver.text"] = "only for generated text" },
}

--- The module of a file.
---@param path string "lua/moontide/base/check.lua"
---@return string module "moontide.base.check"
function lua_layers.module_of(path)
    return (path:gsub("^%w+/", "", 1):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

local function layer_of(path)
    return path:match("^lua/moontide/([%w_]+)/") or path:find("^lua/moontide/[%w_]+%.lua$") and "public"
        or path:find("^stdlib/") and "stdlib" or nil
end

-- The strings of a line that may be names of modules, each with whether it is required at the top: code in functions is indented.
local function names_in(line)
    local code, at = line:gsub("%-%-.*$", ""), 1
    return function()
        local first, last, name = code:find("[\"'](moontide[%w_.]*)[\"']", at)
        if first then
            at = last + 1
            return name, not code:find("^%s") and code:sub(1, first - 1):find("require%s*%(?%s*$") ~= nil
        end
    end
end

---@class spec.LuaModule
---@field path string
---@field layer string?
---@field requires { line: integer, module: string, lazy: boolean }[]

--- The modules of some files, by name, with what they require.
---@param files table<string, string> content by path
---@return table<string, spec.LuaModule>
function lua_layers.read(files)
    local modules = {}
    for path in pairs(files) do
        modules[lua_layers.module_of(path)] = { path = path, layer = layer_of(path), requires = {} }
    end
    for name in pairs(CORE) do
        modules[name] = { path = name, layer = "core", requires = {} }
    end
    for path, content in pairs(files) do
        local requires, number = modules[lua_layers.module_of(path)].requires, 0
        for line in (content .. "\n"):gmatch("(.-)\n") do
            number = number + 1
            for name, at_top in names_in(line) do
                -- "moontide" alone is a word as well.
                if modules[name] and (name ~= "moontide" or line:find("require", 1, true)) then
                    requires[#requires + 1] = { line = number, module = name, lazy = not at_top }
                end
            end
        end
    end
    return modules
end

local function check_order(modules, module, required)
    local from, to = module.layer, modules[required.module].layer
    if from == to then
        return nil
    elseif not RANK[from] or not RANK[to] then
        return ("'%s' is no layer: give it a place in spec/support/lua_layers.lua"):format(RANK[from] and to or from)
    elseif RANK[from] == RANK[to] then
        return ("'%s' and '%s' do not know each other"):format(from, to)
    elseif RANK[from] < RANK[to] then
        return ("'%s' is below '%s': let the higher one pass a function down"):format(from, to)
    end
end

--- What breaks the layers: requires that point up, and lazy ones without a reason.
---@param modules table<string, spec.LuaModule>
---@param lazy table<string, table<string, string>> see LAZY
---@return string[] problems sorted
function lua_layers.problems(modules, lazy)
    local problems = {}
    for name, module in pairs(modules) do
        for _, required in ipairs(module.requires) do
            local problem = check_order(modules, module, required)
            if not problem and required.lazy and required.module ~= "moontide.core"
                    and not (lazy[name] and lazy[name][required.module]) then
                problem = "a lazy require is listed with its reason in spec/support/lua_layers.lua"
            end
            if problem then
                problems[#problems + 1] = ("%s:%d: requires %s: %s"):format(module.path, required.line, required.module, problem)
            end
        end
    end
    table.sort(problems)
    return problems
end

--- Entries of a list of lazy requires that no module makes (any more).
---@param modules table<string, spec.LuaModule>
---@param lazy table<string, table<string, string>>
---@return string[] entries sorted
function lua_layers.stale(modules, lazy)
    local stale = {}
    for name, targets in pairs(lazy) do
        for target in pairs(targets) do
            local found = false
            for _, required in ipairs(modules[name] and modules[name].requires or {}) do
                found = found or required.lazy and required.module == target
            end
            if not found then
                stale[#stale + 1] = name .. " → " .. target
            end
        end
    end
    table.sort(stale)
    return stale
end

--- A circle of requires, lazy ones too; nil when there is none.
---@param modules table<string, spec.LuaModule>
---@return string? circle "a → b → a"
function lua_layers.circle(modules)
    local state, way = {}, {}
    local function visit(name)
        way[#way + 1], state[name] = name, "open"
        for _, required in ipairs(modules[name].requires) do
            local target = required.module
            if state[target] == "open" then
                way[#way + 1] = target
                local first = 1
                while way[first] ~= target do
                    first = first + 1
                end
                return table.concat(way, " → ", first)
            end
            local circle = not state[target] and visit(target)
            if circle then
                return circle
            end
        end
        way[#way], state[name] = nil, "done"
    end
    local names = {}
    for name in pairs(modules) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local circle = not state[name] and visit(name)
        if circle then
            return circle
        end
    end
end

return lua_layers
