-- What all saves have in common: one writer at a time, all or nothing, links, and what outlives a power cut.

local engine = require "spec.support.engine"
local fault = require "spec.support.fault"
local files = require "moontide.driver.files"
local saves = require "spec.support.saves"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"
local testing = require "moontide.testing"

local message = engine.message

local function list_of(path)
    local names = files.list(path)
    table.sort(names)
    return names
end

local function make(command, ...)
    assert(os.execute(command .. " " .. shell.command({ ... })) == 0)
end

-- Every way to save: a dataset to `target`, and a stream to `prefix-TIME`.
local KINDS = {
    { "saveAsTextFile", "saveAsTextFiles" }, { "saveAsObjectFile", "saveAsObjectFiles" },
    { "saveAsHadoopFile", "saveAsHadoopFiles", { format = "text" } },
    { "saveAsHadoopFile", "saveAsHadoopFiles", { key = "Text", value = "IntWritable" } },
}

local function save(kind, rdd, target)
    rdd[kind[1]](rdd, target, kind[3])
end

-- One batch at 1000 ms, saved as prefix-1000.
local function save_batch(kind, prefix, records)
    return testing.run({ inputs = { { records or { "a", "b" } } }, batches = 1, build = function(_, stream)
        local counted = stream:map(function(x) return x, 1 end)
        counted[kind[2]](counted, prefix, nil, kind[3])
    end })
end

local dir

before_each(function() dir = tempdir.new() end)
after_each(function()
    fault.clear()
    dir:remove()
end)

describe("two processes that save under one prefix and time", function()
    -- `make save-races ROUNDS=200` runs many more of each.
    local ROUNDS = tonumber(os.getenv("SAVE_ROUNDS")) or 5

    it("do not mix: one completes each batch, and the other is told", function()
        for round = 1, ROUNDS do
            saves.race(dir:file("round" .. round), dir)
        end
    end)

    it("do not mix where the file system has no locks: each that does not complete its batches is told", function()
        for round = 1, ROUNDS do
            saves.race(dir:file("round" .. round), dir, { env = { MOONTIDE_FAULT = "output.lock" }, all_may_fail = true })
        end
    end)

    it("of one dataset: one has the directory, and the other is told that it is there", function()
        for round = 1, ROUNDS do
            saves.race(dir:file("round" .. round), dir, { dataset = true })
        end
    end)
end)

describe("a save", function()
    engine.watch(after_each)
    local sc, pairs_of

    before_each(function()
        sc = engine.context()
        pairs_of = function() return sc:parallelizePairs({ { "a", 1 }, { "b", 2 }, { "c", 3 } }, 2) end
    end)

    for index, kind in ipairs(KINDS) do
        local name = kind[1] .. " " .. index

        it("by " .. name .. " of a directory that another writer is at work on is told, and changes nothing", function()
            local outputs = require "moontide.driver.save"
            local other = engine.context()
            local saving = assert(outputs.begin(other.state, dir:file("out-1000"), { label = "other.lua:1: saveAsTextFiles" }))
            local part = saving.temporary:match("[^/]+/[^/]+$") .. "/part-00000"
            dir:write("out-1000/" .. part, "mine\n")
            local result = save_batch(kind, dir:file("out"))
            assert.equal("EIO", result.error.code)
            assert.matches("save_spec.lua:%d+: " .. kind[2] .. ": another writer is at work in .*/out%-1000: .*give each a directory "
                .. "or prefix of its own", tostring(result.error))
            assert.equal("mine\n", dir:read("out-1000/" .. part))
            outputs.abort(saving)
            assert.same({}, list_of(dir.path))
            assert.is_nil(save_batch(kind, dir:file("out")).error)
        end)

        it("by " .. name .. " never touches the attempts of others", function()
            dir:write("out-1000/_temporary/0/_temporary/attempt_x/part-r-00000", "theirs")
            dir:write("out-1000/_temporary/17/part-00000", "theirs")
            assert.is_nil(save_batch(kind, dir:file("out")).error)
            assert.equal("theirs", dir:read("out-1000/_temporary/0/_temporary/attempt_x/part-r-00000"))
            assert.equal("theirs", dir:read("out-1000/_temporary/17/part-00000"))
            assert.equal("", dir:read("out-1000/_SUCCESS"))
        end)

        it("by " .. name .. " leaves nothing when it can't be made durable, put into place, or written", function()
            for _, where in ipairs({ { "directory.sync" }, { "directory.sync", 2 }, { "directory.sync", 3 },
                { "directory.sync", 4 }, { "output.rename", 1 }, { "output.success" }, { "part.write" }, { "sequence.write" } }) do
                local written = where[1] == "part.write" or where[1] == "sequence.write"
                if not written or (index == 1 or index == 3) == (where[1] == "part.write") then
                    fault.arm(where[1], where[2])
                    local text = message(function() save(kind, pairs_of(), dir:file("deep/out")) end)
                    fault.clear()
                    assert.matches("save_spec.lua:%d+: " .. kind[1] .. ": cannot ", text)
                    assert.matches(dir.path, text, 1, true)
                    assert.same({}, list_of(dir.path))
                end
            end
            save(kind, pairs_of(), dir:file("deep/out"))
            assert.same({ "_SUCCESS", "part-00000", "part-00001" }, list_of(dir:file("deep/out")))
        end)

        it("by " .. name .. " does not follow a link in its directory", function()
            dir:write("elsewhere/17/part-00000", "theirs")
            make("mkdir", dir:file("out-1000"))
            make("ln -s", dir:file("elsewhere"), dir:file("out-1000/_temporary"))
            local text = tostring(save_batch(kind, dir:file("out")).error)
            assert.matches(kind[2] .. ": .*/out%-1000/_temporary is a symbolic link", text)
            assert.equal("theirs", dir:read("elsewhere/17/part-00000"))
            os.remove(dir:file("out-1000/_temporary"))
            dir:write("elsewhere/part-00000", "theirs")
            make("ln -s", dir:file("elsewhere/part-00000"), dir:file("out-1000/part-00000"))
            make("ln -s", dir:file("elsewhere/part-00000"), dir:file("out-1000/_SUCCESS"))
            assert.is_nil(save_batch(kind, dir:file("out")).error)
            assert.equal("theirs", dir:read("elsewhere/part-00000"))
            assert.equal("", dir:read("out-1000/_SUCCESS"))
        end)

        it("by " .. name .. " does not write through a link in the place of a batch's directory", function()
            dir:write("elsewhere/part-00000", "theirs")
            make("ln -s", dir:file("elsewhere"), dir:file("out-1000"))
            assert.matches("/out%-1000 is a symbolic link", tostring(save_batch(kind, dir:file("out")).error))
            assert.same({ "part-00000" }, list_of(dir:file("elsewhere")))
        end)

        it("by " .. name .. " goes where a link leads that the user has named", function()
            make("mkdir", dir:file("real"))
            make("ln -s", dir:file("real"), dir:file("link"))
            save(kind, pairs_of(), dir:file("link/out"))
            assert.is_nil(save_batch(kind, dir:file("link/batch")).error)
            assert.equal("", dir:read("real/out/_SUCCESS"))
            assert.equal("", dir:read("real/batch-1000/_SUCCESS"))
        end)
    end

    it("says so when somebody has made the directory since it was looked for", function()
        local outputs = require "moontide.driver.save"
        local check = outputs.check_new
        finally(function() outputs.check_new = check end)
        outputs.check_new = function() end
        dir:write("out/mine", "mine")
        assert.matches("saveAsTextFile: .*/out already exists", message(function() pairs_of():saveAsTextFile(dir:file("out")) end))
        assert.same({ "mine" }, list_of(dir:file("out")))
    end)

    it("takes away what an attempt has left whose process has ended", function()
        dir:write("out-1000/_temporary/attempt-" .. ("0"):rep(32) .. "/part-00000", "half")
        assert.is_nil(save_batch(KINDS[1], dir:file("out")).error)
        assert.same({ "_SUCCESS", "part-00000", "part-00001" }, list_of(dir:file("out-1000")))
    end)

    it("refuses a batch that another job has completed since this one began, and replaces what is older", function()
        local first, second = engine.streaming(), engine.streaming()
        for index, ssc in ipairs({ first, second }) do
            ssc:queueStream({ { index } }):saveAsTextFiles(dir:file("out"))
            ssc:start()
        end
        engine.advance(first)
        assert.equal("1\n", dir:read("out-1000/part-00000") .. dir:read("out-1000/part-00001"))
        engine.advance(second)
        local text = message(function() assert(second:awaitTermination()) end)
        assert.matches("saveAsTextFiles: another writer is at work in .*/out%-1000: it has completed it since this job began", text)
        assert.equal("1\n", dir:read("out-1000/part-00000") .. dir:read("out-1000/part-00001"))
        assert.equal("", dir:read("out-1000/_SUCCESS"))
    end)

    it("of an empty batch that is to be left out takes away only what an earlier run has left", function()
        local outputs = require "moontide.driver.save"
        local function save_nothing()
            return testing.run({ inputs = { { {} } }, batches = 1, build = function(_, stream)
                stream:saveAsTextFiles(dir:file("out"), nil, { skipEmpty = true })
            end })
        end
        assert.is_nil(save_batch(KINDS[1], dir:file("out")).error)
        dir:write("out-1000/_temporary/17/part-00000", "theirs")
        assert.is_nil(save_nothing().error)
        assert.same({ "_temporary" }, list_of(dir:file("out-1000")))
        make("rm -r", dir:file("out-1000"))
        local saving = assert(outputs.begin(sc.state, dir:file("out-1000"), { label = "other" }))
        assert.matches("another writer is at work in .*/out%-1000: it has not finished yet", tostring(save_nothing().error))
        outputs.abort(saving)
        dir:write("elsewhere/part-00000", "theirs")
        make("ln -s", dir:file("elsewhere"), dir:file("out-1000"))
        assert.matches("/out%-1000 is a symbolic link", tostring(save_nothing().error))
        assert.equal("theirs", dir:read("elsewhere/part-00000"))
    end)

    it("of a batch that is run again replaces its own", function()
        for _, text in ipairs({ "first", "second" }) do
            assert.is_nil(save_batch(KINDS[1], dir:file("out"), { text }).error)
            assert.equal("(" .. text .. ",1)\n", dir:read("out-1000/part-00000") .. (dir:read("out-1000/part-00001") or ""))
        end
    end)
end)

describe("a job that ends between the parts and _SUCCESS", function()
    it("leaves no _SUCCESS, and its second run completes the batch", function()
        local job = saves.job(dir, dir:file("out"), 1)
        local crashed = shell.moontide({ "run", job, "x" }, { env = { MOONTIDE_FAULT = "output.crash" } })
        assert.equal(137, crashed.code)
        assert.is_nil(dir:read("out-1000/_SUCCESS"))
        assert.is_not_nil(dir:read("out-1000/part-00000"))
        local second = shell.moontide({ "run", job, "y" })
        assert.equal("", second.err)
        assert.equal(0, second.code)
        saves.complete(dir:file("out-1000"), "y")
        assert.same({ "_SUCCESS", "part-00000", "part-00001", "part-00002", "part-00003" }, list_of(dir:file("out-1000")))
    end)

    it("and one whose files may not grow is told, and leaves nothing", function()
        local job = saves.job(dir, dir:file("out"), 1)
        local result = shell.run("ulimit -f 1; exec " .. shell.command({ shell.program, "run", job, ("x"):rep(3000) }))
        assert.equal(1, result.code)
        assert.matches("cannot write .*File too large", result.err)
        assert.is_false(files.exists(dir:file("out-1000")))
    end)
end)

describe("two outputs of one graph", function()
    engine.watch(after_each)

    it("under one prefix and suffix are refused at the second call, which names both", function()
        local ssc = engine.streaming()
        local stream = ssc:queueStream({}):map(function(x) return x, 1 end)
        make("mkdir", dir:file("real"))
        make("ln -s", dir:file("real"), dir:file("link"))
        stream:saveAsTextFiles(dir:file("real/out"), "txt")
        for _, kind in ipairs(KINDS) do
            for _, prefix in ipairs({ "real/out", "./real/out", "real//out", "link/out", "real/../real/out", "real/out/" }) do
                local text = message(function() stream[kind[2]](stream, dir.path .. "/" .. prefix, "txt", kind[3]) end)
                assert.matches("^spec/save_spec.lua:%d+: " .. kind[2] .. ": saveAsTextFiles %(spec/save_spec.lua:%d+%) writes to the same "
                    .. "directories, .*out%-TIME%.txt; give one of the two another prefix or suffix", text)
            end
        end
        assert.matches("same directories, TIME;", message(function()
            stream:saveAsObjectFiles(nil)
            stream:saveAsTextFiles("", "")
        end), 1, true)
        stream:saveAsTextFiles(dir:file("real/out"))
        stream:saveAsObjectFiles(dir:file("real/out"), "obj")
        stream:saveAsTextFiles(dir:file("none/out"), "txt")
        assert.matches("writes to the same directories", message(function()
            stream:saveAsTextFiles("file://" .. dir:file("none/./out"), "txt")
        end), 1, true)
    end)
end)

describe("the directory for checkpoints", function()
    engine.watch(after_each)

    it("is tried with a file that nobody else can have", function()
        local sc = engine.context()
        local victim = dir:write("victim", "theirs")
        make("mkdir", dir:file("checkpoints"))
        make("ln -s", victim, dir:file("checkpoints/.moontide-write-test"))
        sc:setCheckpointDir(dir:file("checkpoints"))
        assert.equal("theirs", dir:read("victim"))
        assert.same({ ".moontide-write-test" }, list_of(dir:file("checkpoints")))
        sc:setCheckpointDir("file://" .. dir:file("checkpoints"))
        assert.equal(dir:file("checkpoints"), sc:getCheckpointDir():match("^(.*)/"))
    end)

    it("is removed without what links in it lead to", function()
        local checkpoint = require "moontide.driver.checkpoint"
        local path = assert(checkpoint.temporary())
        dir:write("elsewhere/deep/file", "theirs")
        make("ln -s", dir:file("elsewhere"), path .. "/link")
        make("mkdir -p", path .. "/a/b")
        make("ln -s", dir:file("elsewhere/deep"), path .. "/a/b/link")
        checkpoint.remove(path)
        assert.is_false(files.exists(path))
        assert.equal("theirs", dir:read("elsewhere/deep/file"))
    end)
end)

describe("what a save writes", function()
    -- The shim needs the C library that the program was linked with as it is.
    if os.getenv("MOONTIDE_SANITIZE") ~= "" and os.getenv("MOONTIDE_SANITIZE") then return end

    local CALLS = {
        text = 'rdd:saveAsTextFile(TARGET)', object = 'rdd:saveAsObjectFile(TARGET)',
        hadoop = 'rdd:saveAsHadoopFile(TARGET, { value = "IntWritable" })', lines = 'rdd:saveAsHadoopFile(TARGET, { format = "text" })',
        checkpoint = 'sc:setCheckpointDir(TARGET); rdd:checkpoint():count()',
    }

    local function trace(call, conf)
        local job = dir:write("job.lua", ([[
            local sc = require("moontide").Context{ master = "local[2]", conf = { %s } }
            local rdd = sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }, 2)
            %s
        ]]):format(conf or "", (call:gsub("TARGET", ("%q"):format(dir:file("new/out"))))))
        return saves.trace(job, dir)
    end

    for name, call in pairs(CALLS) do
        it("is durable before _SUCCESS, which is durable itself: " .. name, function()
            local events = trace(call)
            local synced, renamed, success = {}, {}, nil
            for index, event in ipairs(events) do
                local path = event.path
                if event.call == "fsync" then
                    synced[path] = synced[path] or index
                    synced[path .. " last"] = index
                elseif event.call == "renameat2" and path:match("/part%-%d+$") then
                    renamed[#renamed + 1] = path
                    assert(synced[event.from], event.from .. " was not made durable before it was put into place")
                elseif event.call == "openat" and path:match("/_SUCCESS$") then
                    success = index
                    local directory = path:match("^(.*)/")
                    assert.equal(2, #renamed)
                    assert(synced[directory], "the directory was not made durable before _SUCCESS")
                    local above = directory
                    repeat
                        above = above:match("^(.*)/")
                        assert(synced[above], above .. " was not made durable before _SUCCESS")
                    until above == dir.path
                end
            end
            assert(success, "there is no _SUCCESS")
            local marker = events[success].path
            assert(synced[marker .. " last"] > success)
            assert(synced[marker:match("^(.*)/") .. " last"] > synced[marker .. " last"])
        end)

        it("is not made durable with save.sync = false: " .. name, function()
            local seen = false
            for _, event in ipairs(trace(call, '["save.sync"] = false')) do
                assert(event.call ~= "fsync" or not event.path:find("part%-") and not event.path:find("_SUCCESS"), event.path)
                seen = seen or event.path:match("/_SUCCESS$") ~= nil
            end
            assert.is_true(seen)
        end)
    end
end)
