-- Checks the C files of host/ against the layers of the project: which folder may include which, where lua.h may
-- appear, which calls belong to one place only; which modules need each other. Used by spec/layers_spec.lua.
--
--     layers.problems("store/block.c", source)   --> { "store/block.c:7: includes task/task.h: …", … }
--     layers.circles({ ["store/a.h"] = source, … })   --> { "store/a → store/b → store/a", … }
--
-- Paths are relative to host/.

local graphs = require "spec.support.graphs"

local layers = {}

-- base < {wire, thread, clock} < {vm, store, process} < {kernel, format, state} < {task, ingest} < rdd < dstream < driver < engine < bind < main
local ORDER = {
    { "base" },
    { "wire", "thread", "clock" },
    { "vm", "store", "process" },
    { "kernel", "format", "state" },
    { "task", "ingest" },
    { "rdd" },
    { "dstream" },
    { "driver" },
    { "engine" },
    { "bind" },
    { "main" },
}

local RANK = {}
for rank, names in ipairs(ORDER) do
    for _, name in ipairs(names) do
        RANK[name] = rank
    end
end

local LUA_HEADERS = { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["luajit.h"] = true }
local FILE_HEADERS = { ["fcntl.h"] = true, ["sys/stat.h"] = true, ["dirent.h"] = true }
local LIBRARY_HEADERS = { "^uv%.h$", "^uv/", "^msgpack", "^xxhash", "^xxh3", "^lz4", "^zlib" }

-- Sources of data are made in bind/: to everything else they are ingest/source.h, so that a new one touches nothing there.
local SOURCES = { inside = "ingest", makes = "bind", open = { ["ingest/ingest.h"] = true, ["ingest/source.h"] = true } }

-- Each: names that belong to one place, the files that may have them, what to tell the others.
local RESERVED = {
    {
        names = { "_GNU_SOURCE" },
        allowed = {},
        rule = "the Makefile defines it for every file",
    },
    {
        names = { "stderr", "perror" },
        allowed = { "^base/log%.c$" },
        rule = "only base/log.c writes to stderr",
    },
    {
        names = { "exit", "_exit", "_Exit", "quick_exit" },
        allowed = { "^main%.c$" },
        rule = "only main.c ends the process",
    },
    {
        names = { "clock_gettime", "gettimeofday", "uv_hrtime", "uv_now", "uv_gettimeofday" },
        allowed = { "^clock/", "^base/log%.c$" },
        rule = "only clock/ reads clocks (and log.c for its lines): take the time as an argument, or ask clock/clock.h",
    },
}

local function is_any(text, patterns)
    for _, pattern in ipairs(patterns) do
        if text:find(pattern) then
            return true
        end
    end
    return false
end

-- The layer of a path: its folder, or the file's stem at the top level ("engine.c" → "engine").
local function layer_of(path)
    return path:match("^(.-)/") or path:match("^([^.]+)")
end

-- Replaces comments, and the content of literals if asked, with nothing but their line ends.
local function strip(source, with_literals)
    local out, at = {}, 1
    local function keep_lines(text)
        return (text:gsub("[^\n]", ""))
    end
    while at <= #source do
        local start = source:find('[/"\']', at)
        if not start then
            break
        end
        local stop
        local two = source:sub(start, start + 1)
        if two == "/*" then
            stop = select(2, source:find("*/", start + 2, true)) or #source
        elseif two == "//" then
            stop = (source:find("\n", start, true) or #source + 1) - 1
        elseif two:sub(1, 1) == "/" then
            out[#out + 1] = source:sub(at, start)
            at = start + 1
        else
            local quote = two:sub(1, 1)
            stop = start + 1
            while stop <= #source and source:sub(stop, stop) ~= quote and source:sub(stop, stop) ~= "\n" do
                stop = stop + (source:sub(stop, stop) == "\\" and 2 or 1)
            end
            if not with_literals then
                out[#out + 1] = source:sub(at, stop)
                at, stop = stop + 1, nil
            end
        end
        if stop then
            out[#out + 1] = source:sub(at, start - 1) .. keep_lines(source:sub(start, stop)) .. " "
            at = stop + 1
        end
    end
    out[#out + 1] = source:sub(at)
    return table.concat(out)
end

local function each_line(text)
    local number = 0
    return coroutine.wrap(function()
        for line in (text .. "\n"):gmatch("([^\n]*)\n") do
            number = number + 1
            coroutine.yield(number, line)
        end
    end)
end

local function check_own_include(path, included)
    if included == "tide.h" then
        -- The public header stands outside of the layers: it includes nothing of the project.
        return nil
    end
    if path == "tide.h" then
        return "the public header includes nothing of the project"
    end
    local from, to = layer_of(path), layer_of(included)
    if to == SOURCES.inside and from ~= SOURCES.inside and from ~= SOURCES.makes and not SOURCES.open[included] then
        return "sources are made in bind/; others know ingest/source.h"
    end
    if not included:find("/", 1, true) and included ~= "engine.h" then
        return "includes are written with the folder"
    end
    if from == to then
        return nil
    end
    if not RANK[to] then
        return "'" .. to .. "' is no layer"
    end
    if RANK[to] == RANK[from] then
        return "'" .. from .. "' and '" .. to .. "' are side by side and do not know each other"
    end
    if RANK[to] > RANK[from] then
        return "'" .. from .. "' is below '" .. to .. "': declare a small interface that the higher layer fills in"
    end
    return nil
end

local function check_system_include(path, included)
    local layer = layer_of(path)
    if LUA_HEADERS[included] and layer ~= "vm" and layer ~= "bind" and path ~= "task/worker.c" then
        return "Lua is known in vm/, bind/ and task/worker.c only"
    end
    if layer == "vm" and FILE_HEADERS[included] then
        return "vm/ never sees files"
    end
    if layer == "base" and is_any(included, LIBRARY_HEADERS) then
        return "base/ needs nothing but libc"
    end
    return nil
end

--- What a file of host/ does against the layers.
---@param path string relative to host/
---@param source string its content
---@return string[] problems "path:line: what: rule"
---@return integer includes number of the project's own headers it includes
function layers.problems(path, source)
    local problems, includes = {}, 0
    local function report(line, what, rule)
        if rule then
            problems[#problems + 1] = string.format("host/%s:%d: %s: %s", path, line, what, rule)
        end
    end

    if path ~= "tide.h" and not RANK[layer_of(path)] then
        report(1, "unknown folder '" .. layer_of(path) .. "'", "give it a place in spec/support/layers.lua")
        return problems, includes
    end

    for number, line in each_line(strip(source, false)) do
        local own = line:match('^%s*#%s*include%s*"([^"]+)"')
        local system = line:match("^%s*#%s*include%s*<([^>]+)>")
        if own and LUA_HEADERS[own] then
            system, own = own, nil
        end
        if own then
            includes = includes + 1
            report(number, "includes " .. own, check_own_include(path, own))
        elseif system then
            report(number, "includes <" .. system .. ">", check_system_include(path, system))
        end
    end

    for number, line in each_line(strip(source, true)) do
        for _, reserved in ipairs(RESERVED) do
            for _, name in ipairs(reserved.names) do
                if line:find("%f[%w_]" .. name .. "%f[^%w_]") and not is_any(path, reserved.allowed) then
                    report(number, name, reserved.rule)
                end
            end
        end
    end
    return problems, includes
end

--- Modules (the .c and .h of one name) that need each other, directly or around. A module needs another when its .c names
--- a function that the other's .c defines: types of a common header make no circle, and a header that declares
--- functions of several modules hides none. Headers must not include each other either.
---@param sources table<string, string> path relative to host/ → content
---@return string[] circles each as "a → b → a"
function layers.circles(sources)
    local code, defined_in, needs, includes = {}, {}, {}, {}
    for path, source in pairs(sources) do
        code[path] = strip(source, true):gsub("%f[%w_]struct%s+[%w_]+", "struct") -- a type, not a function of this name
        local module = path:match("^(.*)%.c$")
        for line in code[path]:gmatch(module and "[^\n]+" or "^$") do
            local name = line:match("^[%a][%w_ *]-[ *](%l+_[%w_]+)%(")
            if name and not line:find("^static ") and not line:find(";%s*$") then
                defined_in[name] = module
            end
        end
    end
    for path in pairs(sources) do
        local module, extension = path:match("^(.*)%.([ch])$")
        if extension == "h" then
            includes[path] = {}
            for other in strip(sources[path], false):gmatch('#%s*include%s*"([^"]+%.h)"') do
                includes[path][other] = true
            end
        else
            needs[module] = {}
            for name in code[path]:gmatch("%f[%w_](%l+_[%w_]+)") do
                local other = defined_in[name]
                if other and other ~= module then
                    needs[module][other] = true
                end
            end
        end
    end
    local found = graphs.circles(needs)
    for _, circle in ipairs(graphs.circles(includes)) do
        found[#found + 1] = circle
    end
    return found
end

return layers
