-- Some random pipelines against the model, and the tools of that test themselves. The long run is
-- `luajit spec/differential/run.lua`.

local core = require "moontide.core"
local build = require "spec.differential.build"
local compare = require "spec.differential.compare"
local generate = require "spec.differential.generate"
local model = require "spec.differential.model"
local runner = require "spec.differential.runner"
local shrink = require "spec.differential.shrink"
local values = require "spec.differential.values"

local COUNT = (os.getenv("MOONTIDE_SANITIZE") or "") ~= "" and 40 or 300

describe("random pipelines", function()
    it("give what the model gives", function()
        core.logLevel("off")
        local found = {}
        runner.run(1, COUNT, function(seed, text)
            found[#found + 1] = string.format("seed %d: %s", seed, text)
        end)
        core.logLevel("warn")
        assert(#found == 0, table.concat(found, "\n\n"))
    end)

    it("pass over what fails as the model does", function()
        core.logLevel("off")
        local found, refused = {}, 0
        runner.run(1, COUNT / 4, function(seed, text)
            found[#found + 1] = string.format("seed %d: %s", seed, text)
        end, function(_, program)
            for _, node in ipairs(program.nodes) do
                refused = refused + (node.op:find("picky") and 1 or 0)
            end
        end, { numbered = true }, true) -- partitions of what has failed may be counted
        core.logLevel("warn")
        assert(#found == 0, table.concat(found, "\n\n"))
        assert(refused > COUNT / 8, "hardly a function fails")
    end)

    it("are drawn from every operator there is", function()
        local names, used = {}, {}
        for _, operator in ipairs(generate.operators()) do
            for _, method in ipairs(operator.needs) do
                assert(build.has(method), operator.name .. " needs " .. method)
            end
            names[#names + 1] = operator.name
        end
        for seed = 1, 600 do
            for _, node in ipairs(generate.program(seed, build.has).nodes) do
                used[node.drawn or "input"] = true
            end
        end
        for _, name in ipairs(names) do
            assert(used[name], name .. " is never drawn")
        end
    end)

    it("depend on the seed alone", function()
        local one = shrink.describe(generate.program(7, build.has))
        assert.equal(one, shrink.describe(generate.program(7, build.has)))
        assert.not_equal(one, shrink.describe(generate.program(8, build.has)))
    end)
end)

describe("the comparison", function()
    local function program()
        return {
            seed = 0, batches = 2, partitions = 2, master = "local[1]", outputs = { 2 },
            inputs = { { type = { t = "int" }, batches = { { 1, 2, 3 }, { 4, 5 } } } },
            nodes = {
                { id = 1, op = "input", input = 1, from = {}, type = { t = "int" }, slide = 1, exact = true },
                { id = 2, op = "map", fn = { "add", 1 }, from = { 1 }, type = { t = "int" }, slide = 1, exact = true },
            },
        }
    end

    it("sees what the model says", function()
        local wanted = model.run(program())
        assert.same({ { { 2 }, { 3, 4 } }, { { 5 }, { 6 } } },
            { wanted.outputs[1][1].partitions, wanted.outputs[1][2].partitions })
        assert.is_nil(runner.difference(program()))
    end)

    it("finds a wrong value, a wrong place, a missing dataset and a failure", function()
        local wanted = model.run(program())
        local function against(change)
            local got = build.run(program())
            change(got, got.outputs[1])
            return compare.results(program(), wanted, got)
        end
        assert.matches("partition 2: expected 3 4, got 3 9", against(function(_, out) out[1].partitions[2][2] = 9 end))
        assert.matches("at 2000 ms: 2 partitions expected, got 1", against(function(_, out)
            out[2].partitions = { { 5, 6 } }
        end))
        assert.matches("output 2: expected a dataset at 2000, got nothing", against(function(_, out) out[2] = nil end))
        assert.matches("expected no failure, got broken", against(function(got) got.failed, got.error = 1, "broken" end))
    end)

    it("shrinks what fails to its essence", function()
        local big = generate.program(3, build.has)
        big.inputs[1] = { type = { t = "int" }, batches = { { 1, 7, 3 }, { 7 }, { 2 } } }
        big.batches = 3
        local function fails(candidate)
            for _, batch in ipairs(candidate.inputs[1].batches) do
                for _, record in ipairs(batch ~= "none" and batch or {}) do
                    if record == 7 then return "there is a 7" end
                end
            end
        end
        local small, why = shrink.program(big, fails)
        assert.equal("there is a 7", why)
        local records = {}
        for _, batch in ipairs(small.inputs[1].batches) do
            for _, record in ipairs(batch) do records[#records + 1] = record end
        end
        assert.same({ 7 }, records)
        for _, node in ipairs(small.nodes) do
            assert.equal("input", node.op)
        end
    end)

    it("tells equal values by their text", function()
        assert.equal(values.text({ 1, { "a" } }), values.text({ 1.0, { "a" } }))
        assert.equal("0", values.text(-0.0))
        assert.not_equal(values.text({ 1 }), values.text({ "1" }))
        assert.not_equal(values.text({ nil, 2 }), values.text({ 2 }))
    end)
end)
