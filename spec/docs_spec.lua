-- The doc comments of the Lua sources: complete, and their examples true. See spec/support/docs.lua for their form.

local docs = require "spec.support.docs"
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"
local testing = require "moontide.testing"

-- What scripts call, by the name of the table in the source that has the functions. Handle: methods of datasets and streams.
local PUBLIC = {
    RDD = true, DStream = true, Handle = true, Context = true, StreamingContext = true, constructor = true, Specs = true,
    StateSpec = true, State = true, Broadcast = true, Accumulator = true, testing = true, moontide = true,
    lineserver = true, server = true, sqlite = true,
}

local PUBLIC_FUNCTIONS = {
    ["duration.milliseconds"] = true, ["duration.seconds"] = true, ["duration.minutes"] = true, ["values.array"] = true,
    ["values.null"] = true, ["stats_report.new"] = true,
}

-- Sections of the programming guide, release 0.9.
local SECTIONS = {}
for _, section in ipairs({
    "A Quick Example", "Initializing", "DStreams", "Input Sources", "Operations", "Transformations",
    "UpdateStateByKey Operation", "Transform Operation", "Window Operations", "Output Operations", "Persistence",
    "RDD Checkpointing", "Level of Parallelism", "24/7 Operation", "Monitoring", "Memory Tuning",
    "Failure of the Driver Node",
}) do
    SECTIONS[section] = true
end

local function all_functions()
    local list = {}
    local paths = docs.sources("lua/moontide", 1)
    for _, folder in ipairs({ "base", "closure", "driver", "operators" }) do
        for _, path in ipairs(docs.sources("lua/moontide/" .. folder)) do
            -- What workers see of shared variables is described in driver/shared.lua, the loader's parts where they are used.
            if not path:find("closure/shared.lua", 1, true) and not path:find("closure/unpack.lua", 1, true) then
                paths[#paths + 1] = path
            end
        end
    end
    for _, path in ipairs(docs.sources("stdlib/moontide", 1)) do
        paths[#paths + 1] = path
    end
    paths[#paths + 1] = "lua/moontide/worker/state.lua"
    for _, path in ipairs(paths) do
        for _, documented in ipairs(docs.functions(path)) do
            documented.public = PUBLIC[documented.owner] or PUBLIC_FUNCTIONS[documented.full] or false
            list[#list + 1] = documented
        end
    end
    return list
end

local functions = all_functions()

-- The table that a module returns: its functions are for the other modules.
local function exported(path)
    local file = assert(io.open(path, "rb"))
    local source = file:read("*a")
    file:close()
    return source:match("\nreturn ([%w_]+)%s*$")
end

local module_tables = {}

local function is_exported(documented)
    local path = documented.path
    module_tables[path] = module_tables[path] or exported(path) or ""
    return documented.owner == module_tables[path] and path ~= "lua/moontide/worker/state.lua"
end

local function complain(list, documented, format, ...)
    list[#list + 1] = string.format("%s:%d: %s ", documented.path, documented.line, documented.full)
        .. string.format(format, ...)
end

local function verdict(problems)
    assert(#problems == 0, "\n" .. table.concat(problems, "\n"))
end

-- Whether it returns a value, as far as its text tells; what functions inside of it return counts too, so this is only asked
-- of functions that have none.
local function returns_value(documented)
    if documented.body:find("function", 1, true) then
        return false
    end
    for value in documented.body:gmatch("%f[%w]return +(%S+)") do
        if not value:find("^check%.fail") then
            return true
        end
    end
    return false
end

local function check_tags(problems, documented)
    for _, parameter in ipairs(documented.parameters) do
        if parameter ~= "_" and not docs.parameter(documented, parameter) then
            complain(problems, documented, "has no @param %s", parameter)
        end
    end
    if returns_value(documented) and docs.count(documented, "return") == 0 then
        complain(problems, documented, "returns something and has no @return")
    end
end

describe("doc comments", function()
    it("are on every function that a module offers to others, with each parameter and the result", function()
        local problems, count = {}, 0
        for _, documented in ipairs(functions) do
            if documented.public or is_exported(documented) then
                count = count + 1
                if not documented.text:find("%w") then
                    complain(problems, documented, "has no description")
                end
                check_tags(problems, documented)
            end
        end
        assert.is_true(count > 250, "only " .. count .. " functions were found")
        verdict(problems)
    end)

    it("of what scripts call have an example", function()
        local problems = {}
        for _, documented in ipairs(functions) do
            if documented.public and #documented.examples == 0 then
                complain(problems, documented, "has no example")
            end
        end
        verdict(problems)
    end)

    it("of what scripts call say where the behaviour comes from", function()
        local problems = {}
        for _, documented in ipairs(functions) do
            if documented.public then
                local section = documented.text:match('Guide: "([^"]+)"%.')
                if section and not SECTIONS[section] then
                    complain(problems, documented, "names '%s', which is no section of the guide", section)
                elseif not (section or documented.text:find("As in %u%a+ %d%.%d%.")
                    or documented.text:find("As %w+ in Spark %d%.%d%.") or documented.text:find("Not in Spark[%.,]")) then
                    complain(problems, documented, "does not say: Guide: \"…\". / As in Spark 1.3. / Not in Spark.")
                end
            end
        end
        verdict(problems)
    end)

    it("of what scripts call say what is left out, and which errors there are", function()
        local problems = {}
        for _, documented in ipairs(functions) do
            if documented.public then
                for _, parameter in ipairs(documented.parameters) do
                    local rest, optional = docs.parameter(documented, parameter)
                    if optional and not (rest:find("default") or rest:find("without") or rest:find("with ")
                        or rest:find("accepted as in Spark") or rest:find("what to compare instead")
                        or rest:find("for messages")) then
                        complain(problems, documented, "does not say what happens without %s", parameter)
                    end
                end
                if (documented.body:find("check%.fail%(") or documented.body:find("%f[%w]error%("))
                    and not (documented.text:lower():find("error") or documented.text:find("refused")
                        or documented.text:find("Needs ") or documented.text:find("raised")
                        or table.concat(documented.tags, " "):find("refused")) then
                    complain(problems, documented, "raises errors of its own and tells of none")
                end
            end
        end
        verdict(problems)
    end)
end)

-- Examples --------------------------------------------------------------------------------------------------------

-- These wait for the end of streams, need a server, or are not for this release: they are only compiled.
local NOT_RUN = {
    ["StreamingContext:start"] = true, ["StreamingContext:awaitTermination"] = true,
    ["StreamingContext:awaitTerminationOrTimeout"] = true, ["StreamingContext:stop"] = true,
    ["constructor.getOrCreate"] = true, ["lineserver.start"] = true, ["server:event"] = true, ["server:stop"] = true,
    ["server:kill"] = true,
}

local PAIRS = {
    counts = { { "ebb", 2 }, { "flow", 1 } },
    ones = { { "ebb", 1 }, { "flow", 1 }, { "ebb", 1 } }, scores = { { "ann", 3 }, { "bob", 5 }, { "ann", 9 } },
    sales = { { "tea", 3.5 }, { "tea", 4 } }, visits = { { "ann", "/home" }, { "bob", "/news" } },
    clicks = { { "u1", "/home" }, { "u1", "/news" }, { "u3", "/home" } }, users = { { "u1", "ann" }, { "u2", "bob" } },
    banned = { { "u2", true } }, events = { { "open", 1 } }, files = { { "a.txt", "ebb flow" } },
}

local SINGLES = {
    lines = { "ebb flow", "ERROR ebb" }, words = { "ebb", "flow", "ebb" }, numbers = { 1, 2, 3, 4 }, data = { 5, 6, 7 },
    a = { 1, 2, 2 }, b = { 2, 3, 4 }, c = { 4 }, ids = { 1, 2 }, errors = { "E" }, warnings = { "W" },
}

-- Where a and b have to be pairs.
local KEYED = { cogroup = true, groupWith = true }

local function common(environment)
    environment.moontide = moontide
    environment.time = 1000
    environment.print = function() end
    function environment.parse(line) return line:match("^%S+"), #line end
    function environment.bad(_, size) return size > 100 end
    function environment.add(x, y) return x + y end
    function environment.subtract(x, y) return x - y end
    environment.spec = moontide.StateSpec.func(function(key, n, state)
        state:update(n)
        return key, n
    end)
    return setmetatable(environment, { __index = function(_, name)
        local value = _G[name]
        if value == nil then
            error("the example uses '" .. name .. "', which is not there", 2)
        end
        return value
    end })
end

local function run_on_datasets(documented, example)
    local sc = moontide.Context("local[2]", "docs")
    local environment = common({ sc = sc, ssc = false })
    for name, records in pairs(PAIRS) do
        environment[name] = sc:parallelizePairs(records)
    end
    for name, records in pairs(SINGLES) do
        environment[name] = KEYED[documented.name] and sc:parallelizePairs({ { name, 1 } }) or sc:parallelize(records)
    end
    environment.rdd = environment.lines
    environment.streams = {}
    local ok, message = pcall(function()
        local last = docs.run(example, environment)
        -- A transformation is right when it can be computed.
        if type(last) == "table" and type(getmetatable(last)) == "table" and getmetatable(last).__name == "RDD" then
            last:collect()
        end
    end)
    sc:stop()
    assert(ok, message)
end

local function run_on_streams(documented, example)
    local inputs, flags, names = {}, {}, {}
    for name, records in pairs(PAIRS) do
        names[#names + 1], inputs[#inputs + 1], flags[#flags + 1] = name, { records, records }, true
    end
    for name, records in pairs(SINGLES) do
        local pair = KEYED[documented.name] or false
        names[#names + 1], inputs[#inputs + 1] = name, { pair and { { name, 1 } } or records }
        flags[#flags + 1] = pair
    end
    local result = testing.run({ batch = "10s", inputs = inputs, pairs = flags, batches = 3, build = function(ssc, ...)
        local environment = common({ sc = ssc.sc, ssc = ssc })
        for index, name in ipairs(names) do
            environment[name] = select(index, ...)
        end
        environment.today, environment.yesterday = environment.clicks, environment.users
        local last = docs.run(example, environment)
        if type(last) == "table" and type(getmetatable(last)) == "table" and getmetatable(last).__name == "DStream" then
            return last
        end
        return environment.lines
    end })
    assert(not result.error, result.error and result.error.message)
end

-- In a folder of its own, with the files that examples read.
local function in_folder(run)
    local ffi = require "ffi"
    if not package.loaded["spec.docs.chdir"] then
        ffi.cdef "int chdir(const char *path); char *getcwd(char *buffer, size_t size);"
        package.loaded["spec.docs.chdir"] = true
    end
    local back = ffi.string(ffi.C.getcwd(ffi.new("char[4096]"), 4096))
    local dir = tempdir.new()
    dir:write("logs/one.txt", "ERROR one\nfine\n")
    dir:write("users.txt", "ann 1\nbob 2\n")
    dir:write("mails/1.eml", "Subject: tides\n")
    dir:write("samples.bin", ("x"):rep(32))
    assert(ffi.C.chdir(dir.path) == 0)
    local ok, message = pcall(run)
    assert(ffi.C.chdir(back) == 0)
    dir:remove()
    assert(ok, message)
end

local ON_STREAMS = { DStream = true, StreamingContext = true, Specs = true, StateSpec = true, constructor = true,
    stats_report = true, sqlite = true }

describe("the examples of doc comments:", function()
    for _, documented in ipairs(functions) do
        for _, example in ipairs(documented.examples) do
            if documented.public then
                it(documented.full, function()
                    assert(docs.units(example))
                    if documented.owner == "State" then
                        assert(loadstring("local key, value, state = ...\n" .. example))
                    elseif NOT_RUN[documented.full] then
                        return
                    elseif documented.owner == "Handle" then
                        in_folder(function() run_on_datasets(documented, example) end)
                        in_folder(function() run_on_streams(documented, example) end)
                    elseif ON_STREAMS[documented.owner] then
                        in_folder(function() run_on_streams(documented, example) end)
                    else
                        in_folder(function() run_on_datasets(documented, example) end)
                    end
                end)
            end
        end
    end
end)

describe("the reader of doc comments", function()
    it("tells a wrong example", function()
        local function message(example)
            return select(2, pcall(docs.run, example, setmetatable({}, { __index = _G })))
        end
        assert.matches("1 %+ 1\n    gives  2\n    not    3", message("1 + 1  --> 3"))
        assert.matches("this is not Lua: x %+", message("x +"))
        assert.equal(2, message("local t = { 2, 1 }\nt  --> { 1, 2 } in any order\n#t  --> 2"))
        assert.matches("gives  { 2, 1 }", message("local t = { 2, 1 }\nt  --> { 1, 2 }"))
    end)
end)
