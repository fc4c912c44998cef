-- The layers of host/ and lua/ hold: includes and requires point to lower layers only, and some things happen in one place only.

local layers = require "spec.support.layers"
local lua_layers = require "spec.support.lua_layers"

local function host_files()
    local pipe = assert(io.popen("find host -name '*.[ch]' | LC_ALL=C sort", "r"))
    local paths = {}
    for path in pipe:lines() do
        paths[#paths + 1] = path
    end
    pipe:close()
    return paths
end

local function read(path)
    local file = assert(io.open(path, "rb"))
    local content = file:read("*a")
    file:close()
    return content
end

local function problems_of(path, source)
    return (layers.problems(path, source))
end

describe("the layers of host/", function()
    it("are kept by every file", function()
        local found, includes = {}, 0
        local paths = host_files()
        for _, path in ipairs(paths) do
            local problems, count = layers.problems(path:match("^host/(.*)$"), read(path))
            includes = includes + count
            for _, problem in ipairs(problems) do
                found[#found + 1] = problem
            end
        end
        assert.is_true(#paths > 0 and includes > 0, "no file of host/ was read: run the specs from the top folder")
        assert(#found == 0, "\n" .. table.concat(found, "\n"))
    end)
end)

describe("the modules of host/", function()
    it("do not need each other", function()
        local sources = {}
        for _, path in ipairs(host_files()) do
            sources[path:match("^host/(.*)$")] = read(path)
        end
        assert.same({}, layers.circles(sources))
    end)

    it("have at most 600 lines a file", function()
        local long = {}
        for _, path in ipairs(host_files()) do
            local _, lines = read(path):gsub("\n", "")
            if lines > 600 then
                long[#long + 1] = ("%s has %d lines: give a part of it a file of its own"):format(path, lines)
            end
        end
        assert.same({}, long)
    end)
end)

describe("the check of the layers", function()
    it("finds modules that need each other", function()
        assert.same({ "a/x → a/y → b/z → a/x", "c/p.h → c/q.h → c/p.h" }, layers.circles({
            ["a/x.c"] = "int tide_x_go(void) {\n    return tide_y_go();\n}",
            ["a/y.c"] = "struct tide_y *tide_y_go(int a,\n    int b) { return tide_z_go; }",
            ["b/z.c"] = "void tide_z_go(void) { tide_x_go(); }",
            ["b/types.c"] = '#include "a/x.h"\nvoid tide_types(void) { /* tide_x_go(); */ }',
            ["a/x.h"] = '#include "b/types.h"\nint tide_x_go(void);',
            ["c/p.h"] = '#include "c/q.h"', ["c/q.h"] = '#include "c/p.h"',
        }))
    end)

    it("lets only bind/ know the sources of data", function()
        assert.same({}, problems_of("bind/bind_graph.c", '#include "ingest/socket.h"'))
        assert.same({}, problems_of("dstream/graph.h", '#include "ingest/ingest.h"\n#include "ingest/source.h"'))
        assert.same({
            "host/dstream/graph.h:1: includes ingest/socket.h: sources are made in bind/; others know ingest/source.h",
        }, problems_of("dstream/graph.h", '#include "ingest/socket.h"'))
    end)

    it("lets a file include its own folder and lower ones", function()
        assert.same({}, problems_of("task/worker.c", [[
            #include "task/worker.h"
            #include "vm/call.h"
            #include "store/block.h"
            #include "base/error.h"
            #include <lua.h>
            #include <stdio.h>
        ]]))
        assert.same({}, problems_of("main.c", '#include "engine.h"\n#include "tide.h"\n#include "bind/core.h"\n'))
        assert.same({}, problems_of("base/error.h", '#include "tide.h"\n'))
    end)

    it("refuses a higher layer", function()
        assert.same({
            "host/store/block.c:2: includes task/task.h: 'store' is below 'task': "
                .. "declare a small interface that the higher layer fills in",
        }, problems_of("store/block.c", '\n#include "task/task.h"\n'))
        assert.equal(1, #problems_of("driver/runner.c", '#include "engine.h"'))
        assert.equal(1, #problems_of("engine.c", '#  include "bind/core.h"'))
    end)

    it("refuses layers that stand side by side", function()
        assert.same({
            "host/vm/vm.c:1: includes store/block.h: 'vm' and 'store' are side by side and do not know each other",
        }, problems_of("vm/vm.c", '#include "store/block.h"'))
    end)

    it("refuses an include without its folder, and folders without a place", function()
        assert.same({ "host/store/block.c:1: includes block.h: includes are written with the folder" },
            problems_of("store/block.c", '#include "block.h"'))
        assert.equal(1, #problems_of("util/text.c", ""))
        assert.equal(1, #problems_of("main.c", '#include "util/text.h"'))
    end)

    it("keeps Lua, files, libraries, stderr, exit and clocks in their places", function()
        assert.equal(1, #problems_of("task/pool.c", "#include <lua.h>"))
        assert.equal(1, #problems_of("rdd/rdd.c", '#include "lauxlib.h"'))
        assert.equal(1, #problems_of("vm/vm.c", "#include <fcntl.h>"))
        assert.equal(1, #problems_of("base/log.c", "#include <uv.h>"))
        assert.same({ "host/rdd/rdd.c:3: stderr: only base/log.c writes to stderr" },
            problems_of("rdd/rdd.c", '/* "\n */\nfprintf(stderr, "x");'))
        assert.equal(1, #problems_of("engine.c", "if (bad) exit(1);"))
        assert.equal(1, #problems_of("driver/runner.c", "now = uv_hrtime();"))
        assert.equal(1, #problems_of("vm/vm.c", "#define _GNU_SOURCE"))
        assert.same({}, problems_of("main.c", "exit(1);"))
        assert.same({}, problems_of("base/log.c", "fputs(text, stderr);"))
    end)

    it("reads code, neither comments nor literals", function()
        assert.same({}, problems_of("rdd/rdd.c", [[
            // #include "bind/core.h" and stderr
            /* exit(1);
               #include "bind/core.h" */
            const char *text = "stderr, exit(1), a \" quote /*"; char quote = '"';
            int half = exit_code / 2, tide_exit = on_exit_done;
        ]]))
    end)
end)

-- Lua -------------------------------------------------------------------------------------------------------------

local MOST_LINES = 600

local function lua_files()
    local pipe = assert(io.popen("find lua stdlib -name '*.lua'", "r"))
    local files = {}
    for path in pipe:lines() do
        files[path] = read(path)
    end
    pipe:close()
    return files
end

describe("the layers of lua/", function()
    local files = lua_files()
    local modules = lua_layers.read(files)

    it("are kept by every module", function()
        assert.is_truthy(modules["moontide.base.check"], "no file of lua/ was read: run the specs from the top folder")
        local problems = lua_layers.problems(modules, lua_layers.LAZY)
        assert(#problems == 0, "\n" .. table.concat(problems, "\n"))
    end)

    it("have no circle, through lazy requires either", function()
        assert.is_nil(lua_layers.circle(modules))
    end)

    it("list no lazy require that is gone", function()
        assert.same({}, lua_layers.stale(modules, lua_layers.LAZY))
    end)

    it(("have no file of more than %d lines"):format(MOST_LINES), function()
        local long = {}
        for path, content in pairs(files) do
            local _, lines = content:gsub("\n", "")
            if lines > MOST_LINES then
                long[#long + 1] = ("%s: %d lines"):format(path, lines)
            end
        end
        assert.same({}, long)
    end)
end)

describe("the check of the layers of lua/", function()
    local function problems(files, lazy)
        return lua_layers.problems(lua_layers.read(files), lazy or {})
    end

    it("lets a module require its own layer and lower ones", function()
        assert.same({}, problems {
            ["lua/moontide/rdd.lua"] = 'local joins = require "moontide.operators.joins"',
            ["lua/moontide/operators/joins.lua"] = 'local sets = require "moontide.operators.sets"\n-- see "moontide.rdd"',
            ["lua/moontide/operators/sets.lua"] = 'local check = require("moontide.base.check")\nlocal core = require "moontide.core"',
            ["lua/moontide/base/check.lua"] = 'local MODULE = "moontide"',
        })
    end)

    it("refuses higher layers, and workers and the driver to know each other", function()
        assert.same({
            "lua/moontide/base/check.lua:2: requires moontide.wire.ffi: 'base' is below 'wire': let the higher one pass a function down",
            "lua/moontide/worker/scan.lua:1: requires moontide.driver.loop: 'worker' and 'driver' do not know each other",
        }, problems {
            ["lua/moontide/base/check.lua"] = '\nlocal ffi = require "moontide.wire.ffi"', ["lua/moontide/wire/ffi.lua"] = "",
            ["lua/moontide/worker/scan.lua"] = 'local loop = require "moontide.driver.loop"', ["lua/moontide/driver/loop.lua"] = "",
        })
        assert.matches("'new' is no layer", problems({
            ["lua/moontide/new/a.lua"] = 'local check = require "moontide.base.check"', ["lua/moontide/base/check.lua"] = "",
        })[1])
    end)

    it("refuses a lazy require that is not listed, and names that only stand in a list", function()
        local files = {
            ["lua/moontide/base/check.lua"] = 'function f()\n    return require("moontide.base.values")\nend\n    core = "moontide.core"',
            ["lua/moontide/base/values.lua"] = "",
        }
        assert.matches("check.lua:2: requires moontide.base.values: a lazy require is listed", problems(files)[1])
        local listed = { ["moontide.base.check"] = { ["moontide.base.values"] = "rare", ["moontide.base.nan"] = "gone" } }
        assert.same({}, problems(files, listed))
        assert.same({ "moontide.base.check → moontide.base.nan" }, lua_layers.stale(lua_layers.read(files), listed))
    end)

    it("finds a circle", function()
        assert.equal("moontide.base.a → moontide.base.b → moontide.base.c → moontide.base.a", lua_layers.circle(lua_layers.read {
            ["lua/moontide/base/a.lua"] = 'local b = require "moontide.base.b"',
            ["lua/moontide/base/b.lua"] = 'local c = require "moontide.base.c"',
            ["lua/moontide/base/c.lua"] = 'function f()\n    return require "moontide.base.a"\nend',
        }))
    end)
end)
