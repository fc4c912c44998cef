-- The runner itself: a comparison that lets anything pass would make all cases worthless.

local cases = require "spec.conformance.cases"
local compare = require "spec.conformance.compare"
local pipeline = require "spec.conformance.pipeline"
local runner = require "spec.conformance.runner"

describe("pipeline.parse", function()
    it("reads steps, numbers, names and branches", function()
        local steps = pipeline.parse(
            "map(+4) | reduceByKeyAndWindow(add,sub,window=2,slide=1,filter=v_ne_0)"
            .. " | union(self=[map(+1) | filter(even)])")
        assert.same({ name = "map", args = { "+4" }, named = {}, branches = {} }, steps[1])
        assert.same({ "add", "sub" }, steps[2].args)
        assert.same({ window = "2", slide = "1", filter = "v_ne_0" }, steps[2].named)
        assert.same({ "map", "filter" }, { steps[3].named.self[1].name, steps[3].named.self[2].name })
    end)

    it("reads empty branches and context steps", function()
        local steps = pipeline.parse("ctx.union([],[map(+4)],[map(*8)])")
        assert.equal("ctx.union", steps[1].name)
        assert.same({ 0, 1, 1 }, { #steps[1].branches[1], #steps[1].branches[2], #steps[1].branches[3] })
        assert.same({}, pipeline.parse("join(other=[])")[1].named.other)
    end)

    it("refuses what it cannot read", function()
        assert.error(function() pipeline.parse("map(tostring") end)
        assert.error(function() pipeline.parse("map)") end)
    end)
end)

describe("compare", function()
    local null = cases.null

    it("takes a pair for a table of key and value", function()
        assert.equal(compare.canonical({ k = "a", v = { 1, null } }), compare.canonical({ "a", { 1 } }))
        assert.equal(compare.canonical({ k = "b", v = { null, "x" } }), compare.canonical({ "b", { nil, "x" } }))
        assert.not_equal(compare.canonical({ k = "b", v = { null, "x" } }), compare.canonical({ "b", { "x" } }))
    end)

    it("tells numbers from texts and orders from multisets", function()
        assert.not_equal(compare.canonical(1), compare.canonical("1"))
        assert.equal(compare.canonical(1), compare.canonical(1.0))
        assert.is_nil(compare.batches({ { 1, 2 } }, { { 2, 1 } }, { ordered = false }))
        assert.is_string(compare.batches({ { 1, 2 } }, { { 2, 1 } }, { ordered = true }))
        assert.is_string(compare.batches({ { 1, 1, 2 } }, { { 1, 2, 2 } }, { ordered = false }))
    end)

    it("notices a batch that is absent, empty or too many", function()
        assert.is_string(compare.batches({ {} }, {}, { ordered = true }))
        assert.is_string(compare.batches({}, { {} }, { ordered = true }))
        assert.is_nil(compare.batches({ {} }, { {} }, { ordered = true }))
    end)

    it("leaves the order of grouped values aside only when told to", function()
        local expected, actual = { { { k = 1, v = { 1, 2 } } } }, { { { 1, { 2, 1 } } } }
        assert.is_string(compare.batches(expected, actual, { ordered = false }))
        assert.is_nil(compare.batches(expected, actual, { ordered = false, group_values_unordered = true }))
    end)
end)

describe("runner.run", function()
    local function case(fields)
        local result = { id = "x", kind = "table", batch_ms = 1000, inputs = { { { 1, 2 } } }, op = "map(+1)",
            op_detail = { num_batches = 1 }, expected = { { 2, 3 } }, ordered = true }
        for name, value in pairs(fields) do
            result[name] = value
        end
        if result.kind == "error" then
            result.expected = nil
        end
        return result
    end

    it("passes what is right and fails what is wrong", function()
        assert.equal("passed", (runner.run(case {})))
        local status, reason = runner.run(case { expected = { { 2, 4 } } })
        assert.equal("failed", status)
        assert.matches("expected %[2, 4%].*got %[2, 3%]", reason)
        assert.equal("failed", (runner.run(case { op_detail = { num_batches = 2 } })))
        assert.equal("failed", (runner.run(case { op = "repartition(3)", expected = { { 1, 2 } }, ordered = false,
            op_detail = { num_batches = 1, expected_partitions = 2 } })))
    end)

    it("fails a case whose functions it does not know, and names a kind it does not run", function()
        assert.equal("failed", (runner.run(case { op = "map(nonsense)" })))
        assert.equal("failed", (runner.run(case { op = "nonsense(1)" })))
        local status, reason = runner.run(case { kind = "nonsense" })
        assert.equal("missing", status)
        assert.matches("nonsense", reason)
    end)

    it("expects an error where the case does", function()
        local failing = { kind = "error", error = "SparkException", when = "batch 2", op = "transform(map:tostring)",
            inputs = { { { 1 }, cases.null } }, op_detail = { num_batches = 2 } }
        assert.equal("passed", (runner.run(case(failing))))
        failing.inputs = { { { 1 }, { 2 } } }
        assert.equal("failed", (runner.run(case(failing))))
    end)
end)
