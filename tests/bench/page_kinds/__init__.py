"""Makes pages whose text is known exactly: words, fonts, sheets with text on them, kinds of pages, and what scanners and cameras do."""
