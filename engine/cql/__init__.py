"""CQL text: lexer, parser, syntax tree with source spans, formatter."""
