-- Hadoop itself, as the other side of what Moontide reads and writes. Needs a JDK and Maven; the libraries (50 MB) are
-- fetched from Maven Central into the build folder when first asked for.
--
--     local tool, reason = hadoop.tool()      -- nil and why, when it can't run here
--     local answers = tool({ { "dump", "/tmp/x/part-00000" }, … })    -- for each command the lines it printed
--
-- The commands are described in spec/support/hadoop/SequenceTool.java.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local hadoop = {}

local FOLDER = (os.getenv("MOONTIDE_BUILD") or "build") .. "/hadoop"
local SOURCES = "spec/support/hadoop"
local PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

local function last_line(text)
    return text:match("([^\n]*%S[^\n]*)%s*$") or "no reason given"
end

-- Fetches and compiles what is not there yet. A file is made last that says it is complete.
local function set_up()
    for _, command in ipairs({ "java", "javac", "mvn" }) do
        if shell.run("command -v " .. command).code ~= 0 then
            return nil, "no " .. command .. " here: a JDK and Maven are needed"
        end
    end
    local folder = shell.quote(FOLDER)
    if shell.run(("test -f %s/jars.complete"):format(folder)).code ~= 0 then
        local fetched = shell.run(("rm -rf %s && mkdir -p %s && mvn -q -B -f %s/pom.xml %s -DoutputDirectory=$(realpath %s)/jars "
            .. "&& touch %s/jars.complete"):format(folder, folder, SOURCES, PLUGIN, folder, folder), { timeout = 200 })
        if fetched.code ~= 0 then
            local output = (fetched.out .. fetched.err):gsub("\27%[[%d;]*m", "")
            local why = fetched.code == 124 and "it took too long" or last_line(output)
            return nil, "Maven cannot fetch Hadoop's libraries: " .. why
        end
    end
    local compiled = shell.run(("mkdir -p %s/classes && javac -nowarn -d %s/classes -cp '%s/jars/*' %s/SequenceTool.java")
        :format(folder, folder, FOLDER, SOURCES))
    if compiled.code ~= 0 then
        error("SequenceTool.java does not compile:\n" .. compiled.err)
    end
    return true
end

local function run(commands)
    local dir = tempdir.new()
    local lines = {}
    for index, command in ipairs(commands) do
        lines[index] = table.concat(command, "\t")
    end
    local script = dir:write("commands", table.concat(lines, "\n") .. "\n")
    local result = shell.run(shell.command({ "java", "-Xmx512m", "-Dfile.encoding=UTF-8", "-cp",
        FOLDER .. "/classes:" .. FOLDER .. "/jars/*", "SequenceTool", script }), { timeout = 120 })
    dir:remove()
    assert(result.code == 0, "Hadoop failed:\n" .. result.err .. result.out:sub(-500))
    local answers, answer = {}, {}
    for line in result.out:gmatch("([^\n]*)\n") do
        if line == "done" then
            answers[#answers + 1], answer = answer, {}
        else
            answer[#answer + 1] = line
        end
    end
    assert(#answers == #commands, "Hadoop answered " .. #answers .. " of " .. #commands .. " commands")
    return answers
end

---@return (fun(commands: (string|number)[][]): string[][])? tool
---@return string? reason why it cannot run
function hadoop.tool()
    local ready, reason = set_up()
    if not ready then
        return nil, reason
    end
    return run
end

return hadoop
