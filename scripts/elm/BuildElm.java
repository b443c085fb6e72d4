import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.cqframework.cql.cql2elm.CqlCompilerException;
import org.cqframework.cql.cql2elm.CqlCompilerOptions;
import org.cqframework.cql.cql2elm.CqlTranslator;
import org.cqframework.cql.cql2elm.LibraryBuilder;
import org.cqframework.cql.cql2elm.LibraryManager;
import org.cqframework.cql.cql2elm.LibrarySourceProvider;
import org.cqframework.cql.cql2elm.ModelManager;
import org.hl7.elm.r1.VersionedIdentifier;

/** Translates every &lt;Name&gt;/&lt;Name&gt;.cql below a folder to &lt;Name&gt;.elm.json in another. */
final class BuildElm {
    public static void main(String[] args) throws IOException {
        Path sources = Path.of(args[0]);
        Path target = Path.of(args[1]);
        CqlCompilerOptions options = new CqlCompilerOptions(
                CqlCompilerException.ErrorSeverity.Warning,
                LibraryBuilder.SignatureLevel.Overloads,
                CqlCompilerOptions.Options.EnableAnnotations,
                CqlCompilerOptions.Options.EnableLocators,
                CqlCompilerOptions.Options.EnableResultTypes,
                CqlCompilerOptions.Options.DisableListDemotion,
                CqlCompilerOptions.Options.DisableListPromotion);
        boolean failed = false;
        List<Path> files;
        try (var found = Files.walk(sources)) {
            files = found.filter(path -> path.toString().endsWith(".cql")).sorted().toList();
        }
        for (Path file : files) {
            LibraryManager manager = new LibraryManager(new ModelManager(), options);
            manager.getLibrarySourceLoader().registerProvider(new OneFolderEach(sources));
            CqlTranslator translator = CqlTranslator.fromFile(file.toFile(), manager);
            for (CqlCompilerException message : translator.getExceptions()) {
                var at = message.getLocator();
                System.err.printf("%s%s: %s: %s%n", file, at == null ? "" : ":" + at.getStartLine() + ":" + at.getStartChar(),
                        message.getSeverity(), message.getMessage());
            }
            failed |= !translator.getErrors().isEmpty();
            String name = file.getFileName().toString().replaceFirst("\\.cql$", ".elm.json");
            Files.writeString(target.resolve(name), translator.toJson());
        }
        System.exit(failed ? 1 : 0);
    }

    private record OneFolderEach(Path sources) implements LibrarySourceProvider {
        @Override
        public InputStream getLibrarySource(VersionedIdentifier library) {
            Path file = sources.resolve(library.getId()).resolve(library.getId() + ".cql");
            try {
                return Files.exists(file) ? Files.newInputStream(file) : null;
            } catch (IOException unreadable) {
                throw new java.io.UncheckedIOException(unreadable);
            }
        }
    }
}
