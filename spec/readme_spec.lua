-- README.md and the pages of docs/ and of the folders: their links, and the table of what the guide and the API have. Nothing may be
-- missing there, and what is named has to exist: the file, the method, the `describe` that speaks of it, the example that uses it.

local handles = require "moontide.operators.handles"
local moontide = require "moontide"
require "moontide.streaming"

local function read(path)
    local file = io.open(path, "rb")
    local content = file and file:read("*a")
    if file then
        file:close()
    end
    return content
end

local readme, coverage = read("README.md"), read("docs/coverage.md")

local function verdict(problems)
    assert(#problems == 0, "\n" .. table.concat(problems, "\n"))
end

-- The table -------------------------------------------------------------------------------------------------------

-- What the operators of the guide are, release 0.9, in its order.
local GUIDE = {
    "map", "flatMap", "filter", "repartition", "union", "count", "reduce", "countByValue", "reduceByKey", "join", "cogroup",
    "transform", "updateStateByKey", "window", "countByWindow", "reduceByWindow", "reduceByKeyAndWindow",
    "countByValueAndWindow", "print", "foreachRDD", "saveAsObjectFiles", "saveAsTextFiles", "saveAsHadoopFiles",
}

local CLASSES = {
    DStream = handles.DStream, RDD = handles.RDD, Context = handles.Context, StreamingContext = handles.StreamingContext,
}

-- The methods of a class, which check.class keeps in its __index; a name that is none has all of them loaded.
local function methods_of(class)
    for index = 1, 10 do
        local name, value = debug.getupvalue(class.__index, index)
        if name == "methods" then
            assert.is_nil(value.noMethod)
            return value
        end
    end
    error("check.class has changed: no upvalue 'methods'")
end

---@class spec.row
---@field line string
---@field class string
---@field names string[] "map", or "StreamingContext.getActive" of the module
---@field specs { path: string, describe: string }[]
---@field examples string[]
---@field missing boolean "not yet"

local function rows_of(text)
    local rows, class = {}, nil
    for line in text:gmatch("[^\n]+") do
        class = line:match("^%*%*.*%*%*: methods of an? `(%w+)`$") or class
        local first, second, third = line:match("^| (`.-) | (.-) | ?(.-) ?|$")
        if first then
            local row = { line = line, class = class, names = {}, specs = {}, examples = {} }
            for code in first:gmatch("`([^`]+)`") do
                local name = code:match("^moontide%.([%w%.]+)%(") or code:match("^(%w+)%(")
                row.names[#row.names + 1] = assert(name, "no name of a function: " .. code)
                row.of_module = code:find("^moontide%.") ~= nil
            end
            for path, name in second:gmatch('%]%(%.%./(spec/[^)]+)%) "([^"]+)"') do
                row.specs[#row.specs + 1] = { path = path, describe = name }
            end
            for path in third:gmatch("%]%(%.%./(examples/[^)]+)%)") do
                row.examples[#row.examples + 1] = path
            end
            row.missing = second == "not yet"
            rows[#rows + 1] = row
        end
    end
    return rows
end

local rows = rows_of(coverage)

-- The text of a `describe`, to the `end)` at its own depth; nil when the file has none of that name.
local function text_of_describe(path, name)
    local inside, indent, found = {}, nil, false
    for line in (read(path) or ""):gmatch("([^\n]*)\n") do
        local depth, title = line:match('^(%s*)describe%("(.-)"')
        if not indent and title == name then
            indent, found = depth, true
        elseif indent and line:find("^" .. indent .. "end%)") then
            indent = nil
        elseif indent then
            inside[#inside + 1] = line
        end
    end
    return found and table.concat(inside, "\n") or nil
end

local function last_part(name)
    return name:match("(%w+)$")
end

local function mentions(text, name)
    return text:find("%f[%w]" .. last_part(name) .. "%f[%W]") ~= nil
end

local function exists(row, name)
    if not row.of_module then
        return methods_of(CLASSES[row.class])[name] ~= nil
    end
    local value = moontide
    for part in name:gmatch("%w+") do
        value = value[part]
    end
    return value ~= nil
end

describe("README.md", function()
    it("links to what is there", function()
        local problems, count = {}, 0
        for page, folder in pairs({ [readme] = "", [coverage] = "docs/" }) do
            for target in page:gmatch("%]%(([^)]+)%)") do
                count = count + 1
                if not target:find("^https://") and not read(folder .. target) then
                    problems[#problems + 1] = "there is no " .. folder .. target
                end
            end
        end
        for folder in readme:gmatch("\n| `([%w/]+/)` |") do
            count = count + 1
            if not os.rename(folder, folder) then
                problems[#problems + 1] = "there is no folder " .. folder
            end
        end
        assert.is_true(count > 100)
        verdict(problems)
    end)

    it("names every folder of host/, each before those that include it", function()
        local order = readme:match("\n1%. `base/`.-\n9%. [^\n]*")
        local at = 0
        for folder in require("spec.support.shell").run("ls -d host/*/").out:gmatch("host/(%w+)/") do
            assert(order:find("`" .. folder .. "/`", 1, true), "host/" .. folder .. " is not in the reading order")
        end
        for _, folder in ipairs({ "base", "wire", "vm", "kernel", "task", "rdd", "dstream", "driver", "bind" }) do
            local found = order:find("`" .. folder .. "/`", 1, true)
            assert(found > at, folder)
            at = found
        end
    end)

    it("names every example in the table of the guide or in the text", function()
        local problems = {}
        for path in require("spec.support.shell").run("ls examples/*.lua").out:gmatch("[^\n]+") do
            if not readme:find(path, 1, true) and not coverage:find(path, 1, true) then
                problems[#problems + 1] = path .. " is not mentioned"
            end
        end
        verdict(problems)
    end)

    it("has a program that runs", function()
        local program = readme:match("```lua\n(local moontide = require \"moontide\".-)```")
        assert(loadstring(program))
        for code in readme:gmatch("```lua\n(.-)```") do
            assert(loadstring(code))
        end
    end)
end)

describe("the table of the guide", function()
    it("has each operation of the guide, with a spec and an example", function()
        local problems = {}
        for _, name in ipairs(GUIDE) do
            local found = false
            for _, row in ipairs(rows) do
                for _, other in ipairs(row.class == "DStream" and row.names or {}) do
                    found = found or other == name and #row.specs > 0 and #row.examples > 0
                end
            end
            if not found then
                problems[#problems + 1] = name .. " has no row with a spec and an example"
            end
        end
        verdict(problems)
    end)

    it("leaves out no method of a stream, a dataset or a context", function()
        local problems = {}
        for class, handle in pairs(CLASSES) do
            local listed = {}
            for _, row in ipairs(rows) do
                if row.class == class and not row.missing then
                    for _, name in ipairs(row.names) do
                        listed[name] = true
                    end
                end
            end
            for name in pairs(methods_of(handle)) do
                if not listed[name] then
                    problems[#problems + 1] = class .. ":" .. name .. " is in no row"
                end
            end
        end
        table.sort(problems)
        verdict(problems)
    end)

    it("names methods that exist, and says 'not yet' of those that do not", function()
        local problems = {}
        for _, row in ipairs(rows) do
            for _, name in ipairs(row.names) do
                -- Asking for what comes later says so; getOrCreate is there and says so when it is called.
                local there = name ~= "StreamingContext.getOrCreate" and exists(row, name)
                if there == row.missing then
                    problems[#problems + 1] = string.format("%s %s: %s", row.class, name,
                        there and "is there" or "is not there")
                end
            end
            if not row.missing and #row.specs == 0 then
                problems[#problems + 1] = "no spec: " .. row.line
            end
        end
        verdict(problems)
    end)

    it("names specs that speak of the method, and examples that use it", function()
        local problems = {}
        for _, row in ipairs(rows) do
            local text, examples = "", ""
            for _, spec in ipairs(row.specs) do
                local found = text_of_describe(spec.path, spec.describe)
                if not found then
                    problems[#problems + 1] = string.format('%s has no describe "%s"', spec.path, spec.describe)
                end
                text = text .. (found or "")
            end
            for _, path in ipairs(row.examples) do
                examples = examples .. (read(path) or "")
            end
            local used = #row.examples == 0
            for _, name in ipairs(row.names) do
                if not row.missing and not mentions(text, name) then
                    problems[#problems + 1] = string.format("the specs of %s do not mention it: %s", name, row.line)
                end
                used = used or examples:find("[:%.]" .. last_part(name) .. "[ ({]") ~= nil
            end
            if not used then
                problems[#problems + 1] = "the example uses none of it: " .. row.line
            end
        end
        verdict(problems)
    end)
end)

describe("the READMEs of the folders", function()
    local run = require("spec.support.shell").run
    local tests = read("spec/README.md")

    it("name files that exist", function()
        local problems, count = {}, 0
        for _, page in ipairs({ "host/README.md", "lua/README.md", "lua/moontide/worker/README.md", "spec/README.md" }) do
            local folder = page:match("^(.*)/")
            for path in assert(read(page), page):gmatch("`([%w_%-/]+%.[chluamd]+)`") do
                count = count + 1
                if not (path:find("NAME", 1, true) or read(path) or read(folder .. "/" .. path) or read("lua/moontide/" .. path)) then
                    problems[#problems + 1] = page .. ": there is no " .. path
                end
            end
            for target in read(page):gmatch("%]%(([^)#]+)%)") do
                if not read(folder .. "/" .. target) then
                    problems[#problems + 1] = page .. " links to " .. target .. ", which is not there"
                end
            end
        end
        assert.is_true(count > 100)
        verdict(problems)
    end)

    it("say for every module which spec covers it", function()
        local problems, count = {}, 0
        local function covered(module, stem)
            count = count + 1
            if not tests:find("`" .. module .. "`", 1, true) and not read("spec/" .. stem .. "_spec.lua")
                and not read("spec/host/test_" .. stem .. ".c") then
                problems[#problems + 1] = module .. " has no row in spec/README.md and no test of its name"
            end
        end
        for path in run("ls host/*/*.c").out:gmatch("host/([%w_/]+)%.c") do
            covered(path, path:match("[%w_]+$"))
        end
        for path in run("find lua stdlib -name '*.lua' -not -path '*/_meta/*'").out:gmatch("moontide/([%w_/]+)%.lua") do
            covered(path, path:match("[%w_]+$"))
        end
        for row in tests:gmatch("\n| (`[^|]+) |") do
            for module in row:gmatch("`([%w_]+/?[%w_]+)`") do
                if not (read("host/" .. module .. ".c") or read("lua/moontide/" .. module .. ".lua")
                    or read("stdlib/moontide/" .. module .. ".lua")) then
                    problems[#problems + 1] = "spec/README.md has a row for " .. module .. ", which is no module"
                end
            end
        end
        assert.is_true(count > 150)
        verdict(problems)
    end)
end)
