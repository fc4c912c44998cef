import java.io.BufferedReader;
import java.io.File;
import java.io.FileReader;
import java.io.PrintStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.BooleanWritable;
import org.apache.hadoop.io.BytesWritable;
import org.apache.hadoop.io.DoubleWritable;
import org.apache.hadoop.io.FloatWritable;
import org.apache.hadoop.io.IntWritable;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.NullWritable;
import org.apache.hadoop.io.SequenceFile;
import org.apache.hadoop.io.SequenceFile.CompressionType;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.io.Writable;
import org.apache.hadoop.io.compress.CompressionCodec;
import org.apache.hadoop.mapred.FileInputFormat;
import org.apache.hadoop.mapred.InputSplit;
import org.apache.hadoop.mapred.JobConf;
import org.apache.hadoop.mapred.RecordReader;
import org.apache.hadoop.mapred.RecordWriter;
import org.apache.hadoop.mapred.Reporter;
import org.apache.hadoop.mapred.SequenceFileInputFormat;
import org.apache.hadoop.mapred.TextOutputFormat;
import org.apache.hadoop.util.ReflectionUtils;

/**
 * Hadoop's side of spec/hadoop_interop_spec.lua. The argument is a file of commands, one a line, words parted by tabs; the
 * answers go to standard output, each ended by a line "done".
 *
 * dump FILE: class names, compression and codec of a SequenceFile, then its records.
 * splits DIRECTORY N: the records, read through SequenceFileInputFormat in about N splits, and the number of splits.
 * write FILE KEY VALUE NONE|RECORD|BLOCK CODEC N: a SequenceFile of N records, see sample().
 * text FILE KEY VALUE N: the same records as TextOutputFormat writes them.
 */
public class SequenceTool {
    private static final Configuration CONF = new Configuration();
    private static final String PACKAGE = "org.apache.hadoop.io.";

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        try (BufferedReader commands = new BufferedReader(new FileReader(args[0]))) {
            for (String line = commands.readLine(); line != null; line = commands.readLine()) {
                String[] words = line.split("\t");
                switch (words[0]) {
                    case "dump": dump(words[1], out); break;
                    case "splits": splits(words[1], Integer.parseInt(words[2]), out); break;
                    case "write": write(words); break;
                    case "text": text(words); break;
                    default: throw new IllegalArgumentException(line);
                }
                out.println("done");
            }
        }
        out.flush();
    }

    /** A writable on a line: bytes as hexadecimal digits, so that nothing is lost. */
    private static String show(Writable value) {
        if (value instanceof Text) {
            Text text = (Text) value;
            return hex(text.getBytes(), text.getLength());
        }
        if (value instanceof BytesWritable) {
            BytesWritable bytes = (BytesWritable) value;
            return hex(bytes.getBytes(), bytes.getLength());
        }
        if (value instanceof DoubleWritable) {
            return Long.toHexString(Double.doubleToRawLongBits(((DoubleWritable) value).get()));
        }
        if (value instanceof FloatWritable) {
            return Integer.toHexString(Float.floatToRawIntBits(((FloatWritable) value).get()));
        }
        return value instanceof NullWritable ? "null" : value.toString();
    }

    private static String hex(byte[] bytes, int length) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) text.append(String.format("%02x", bytes[i]));
        return text.toString();
    }

    private static void dump(String path, PrintStream out) throws Exception {
        try (SequenceFile.Reader reader = new SequenceFile.Reader(CONF, SequenceFile.Reader.file(new Path(path)))) {
            CompressionCodec codec = reader.getCompressionCodec();
            out.println(reader.getKeyClassName().substring(PACKAGE.length()) + " "
                + reader.getValueClassName().substring(PACKAGE.length()) + " " + reader.getCompressionType() + " "
                + (codec == null ? "none" : codec.getClass().getSimpleName()));
            Writable key = (Writable) ReflectionUtils.newInstance(reader.getKeyClass(), CONF);
            Writable value = (Writable) ReflectionUtils.newInstance(reader.getValueClass(), CONF);
            while (reader.next(key, value)) out.println(show(key) + " " + show(value));
        }
    }

    private static void splits(String directory, int count, PrintStream out) throws Exception {
        JobConf conf = new JobConf(CONF);
        FileInputFormat.setInputPaths(conf, new Path(directory));
        SequenceFileInputFormat<Writable, Writable> format = new SequenceFileInputFormat<>();
        InputSplit[] splits = format.getSplits(conf, count);
        for (InputSplit split : splits) {
            RecordReader<Writable, Writable> reader = format.getRecordReader(split, conf, Reporter.NULL);
            Writable key = reader.createKey();
            Writable value = reader.createValue();
            while (reader.next(key, value)) out.println(show(key) + " " + show(value));
            reader.close();
        }
        out.println("splits " + splits.length);
    }

    /** Value i of a class; spec/hadoop_interop_spec.lua makes the same ones. */
    private static Writable sample(String kind, int i) {
        switch (kind) {
            case "Text": {
                StringBuilder text = new StringBuilder("t\u00e4" + i);
                for (int j = 0; j < i % 150; j++) text.append((char) ('a' + (i + j) % 26));
                return new Text(i % 5 == 0 ? "" : text.toString());
            }
            case "BytesWritable": {
                byte[] bytes = new byte[i % 300];
                for (int j = 0; j < bytes.length; j++) bytes[j] = (byte) ((i * 7919 + j * (i + j) * 31) / 8);
                return new BytesWritable(bytes);
            }
            case "IntWritable": return new IntWritable(i % 4 == 0 ? Integer.MAX_VALUE - i : i % 4 == 1 ? Integer.MIN_VALUE + i : i - 500);
            case "LongWritable": return new LongWritable(i % 4 == 0 ? Long.MAX_VALUE - i : i % 4 == 1 ? Long.MIN_VALUE + i
                : i % 4 == 2 ? (1L << 40) * i : i - 500);
            case "FloatWritable": return new FloatWritable(i == 3 ? Float.POSITIVE_INFINITY : i / 8f - 20);
            case "DoubleWritable": return new DoubleWritable(i == 3 ? Double.NEGATIVE_INFINITY : i == 4 ? -0.0
                : i == 5 ? 1e300 : i / 8.0 - 20);
            case "BooleanWritable": return new BooleanWritable(i % 3 == 0);
            case "NullWritable": return NullWritable.get();
            default: throw new IllegalArgumentException(kind);
        }
    }

    private static void write(String[] words) throws Exception {
        Class<?> key = Class.forName(PACKAGE + words[2]);
        Class<?> value = Class.forName(PACKAGE + words[3]);
        CompressionCodec codec = (CompressionCodec) ReflectionUtils.newInstance(
            Class.forName(PACKAGE + "compress." + words[5]), CONF);
        try (SequenceFile.Writer writer = SequenceFile.createWriter(CONF, SequenceFile.Writer.file(new Path(words[1])),
            SequenceFile.Writer.keyClass(key), SequenceFile.Writer.valueClass(value),
            SequenceFile.Writer.compression(CompressionType.valueOf(words[4]), codec))) {
            for (int i = 0; i < Integer.parseInt(words[6]); i++) writer.append(sample(words[2], i), sample(words[3], i));
        }
    }

    private static void text(String[] words) throws Exception {
        // The writer puts its file where a task attempt would; that folder is set by hand.
        JobConf conf = new JobConf(CONF);
        File file = new File(words[1]);
        conf.set("mapreduce.output.fileoutputformat.outputdir", file.getParent());
        conf.set("mapreduce.task.output.dir", file.getParent());
        conf.set("mapreduce.task.attempt.id", "attempt_200707121733_0001_m_000000_0");
        RecordWriter<Writable, Writable> writer = new TextOutputFormat<Writable, Writable>().getRecordWriter(
            FileSystem.getLocal(CONF), conf, file.getName(), Reporter.NULL);
        for (int i = 0; i < Integer.parseInt(words[4]); i++) writer.write(sample(words[2], i), sample(words[3], i));
        writer.close(Reporter.NULL);
    }
}
