"""Makes cases.json beside this file with Hugging Face's `tokenizers` (pip install tokenizers==0.23.3): four small
models, and for each a list of variants (components of a tokenizer.json that replace the model's own) with the ids and
the decoded text of the same list of texts. Run it again only to add variants; the expected values are the library's."""

import json
import pathlib
import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
CL100K = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + "?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + "?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)

CORPUS = [
    "When Mary and John went to the store, John gave a drink to Mary.",
    "The war lasted from the year 1745 to the year 1768. It's 3.14 or 2,000!",
    "def forward(self, x):\n    return self.mlp(x) + x\n\n",
    "Die Größe der Straße: naïve café, señor. Привет, мир! こんにちは世界 १२३",
    "HelloWorld helloWorld HELLO world's WORLD'S we'll I'm  two   spaces\tand\ttabs",
]

TEXTS = [
    "Hello world",
    " leading and trailing ",
    "two  spaces   three\n\n\nlines\r\n\ttabs",
    "It's 1234567 we'LL HelloWorld, don't!?",
    "Ünïcödé naïve cafe\u0301 ½²x٣१२३ Ⅷ",
    "a\u0085b\u00a0c\u2003d\ufeffe\u200bf\u001fg",
    "こんにちは、世界。漢字 and 한국어 123",
    "👩‍❤️‍💋‍👨 👍🏽!",
    "<s>special</s> <mask>word <mask> x<alone>y <alone> <low>A<LOW> b",
    "snake_case kebab-case $5.00 + 3^2 = `x` <y> ~z",
    "'s 'S ſ's x'ſ",
    "\x00\x01\x7f",
    "the-final--countdown ... a.b..c",
    "ﬁne ①②③ Ａ",
    ".",
    "",
    "  two spaces first",
    "ΑΣ ΟΔΟΣ Σ",
]
rng = random.Random(1)
ALPHABET = "ab Z9'.-_\n\t\u0085\u00a0é\u0301漢あ👍½<s>$"
TEXTS += ["".join(rng.choice(ALPHABET) for _ in range(rng.randrange(1, 24))) for _ in range(24)]


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
WORDS = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def added(first):
    flags = [
        ("<s>", dict(special=True)),
        ("</s>", dict(special=True)),
        ("<mask>", dict(special=True, lstrip=True, rstrip=False)),
        ("<alone>", dict(special=False, single_word=True, rstrip=True)),
        ("<low>", dict(special=False, normalized=True)),
    ]
    base = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return [dict(base, id=first + i, content=content, **more) for i, (content, more) in enumerate(flags)]


def byte_level_model():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return json.loads(tokenizer.to_str())


def byte_level_variants():
    gpt2 = {"pre_tokenizer": WORDS}
    yield "gpt2", gpt2
    yield "prefix space", {"pre_tokenizer": dict(WORDS, add_prefix_space=True)}
    yield "one word", {"pre_tokenizer": BYTES}
    for individual in (True, False):
        digits = {"type": "Digits", "individual_digits": individual}
        yield f"digits {individual}", {"pre_tokenizer": sequence(digits, WORDS)}
    yield "cl100k", {"pre_tokenizer": sequence(split(CL100K), BYTES)}
    yield "cl100k removed inverted", {"pre_tokenizer": sequence(split(CL100K, "Removed", True), BYTES)}
    yield "o200k", {"pre_tokenizer": sequence(split(O200K), BYTES)}
    yield "deepseek", {
        "pre_tokenizer": sequence(split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK3), BYTES)
    }
    yield "falcon", {
        "pre_tokenizer": sequence(
            {"type": "Punctuation", "behavior": "Contiguous"},
            WORDS,
            {"type": "Digits", "individual_digits": False},
            split("[0-9][0-9][0-9]"),
        )
    }
    yield "bloom", {"pre_tokenizer": sequence(split(" ?[^(\\s|[.,!?…。，、।۔،])]+"), BYTES)}
    for behavior in BEHAVIORS:
        yield f"punctuation {behavior}", {
            "pre_tokenizer": sequence({"type": "Punctuation", "behavior": behavior}, BYTES)
        }
        for invert in (False, True):
            yield f"split {behavior} {invert}", {"pre_tokenizer": sequence(split(r"\s|-", behavior, invert), BYTES)}
        yield f"literal {behavior}", {"pre_tokenizer": sequence(split(".", behavior, False, "String"), BYTES)}
    for name in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer"):
        yield name, {"pre_tokenizer": sequence({"type": name}, BYTES)}
    yield "delimiter", {"pre_tokenizer": sequence({"type": "CharDelimiterSplit", "delimiter": "."}, BYTES)}
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"):
        yield name, dict(gpt2, normalizer={"type": name})
    yield "strip", dict(gpt2, normalizer={"type": "Strip", "strip_left": True, "strip_right": True})
    yield "replace", dict(
        gpt2,
        normalizer={
            "type": "Sequence",
            "normalizers": [
                {"type": "Replace", "pattern": {"Regex": "\\s{2,}"}, "content": "$&"},
                {"type": "Replace", "pattern": {"String": "."}, "content": "<low>"},
                {"type": "Prepend", "prepend": "_"},
            ],
        },
    )


def sentence_piece_model():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    specials = ["<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=specials, show_progress=False, limit_alphabet=60)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return json.loads(tokenizer.to_str())


def sentence_piece_variants():
    def metaspace(scheme, splits):
        return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": splits}

    fallback = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    llama = {"type": "Sequence", "decoders": fallback}
    legacy = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ],
    }
    yield "llama", {"normalizer": legacy, "pre_tokenizer": None, "decoder": llama}
    for scheme in ("always", "first", "never"):
        for splits in (True, False):
            component = metaspace(scheme, splits)
            yield f"metaspace {scheme} {splits}", {"pre_tokenizer": component, "decoder": llama}
            yield f"metaspace decoder {scheme} {splits}", {"pre_tokenizer": component, "decoder": component}
    yield "gemma", {
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": split(" ", "MergedWithPrevious", False, "String"),
        "decoder": {"type": "Sequence", "decoders": fallback[:3]},
    }
    yield "no decoder", {"pre_tokenizer": metaspace("always", True), "decoder": None}


def word_piece_model():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=260, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator([line.lower() for line in CORPUS * 3], trainer)
    return json.loads(tokenizer.to_str())


def word_piece_variants():
    def bert(**more):
        flags = dict(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
        return dict({"type": "BertNormalizer"}, **dict(flags, **more))

    for cleanup in (True, False):
        decoder = {"type": "WordPiece", "prefix": "##", "cleanup": cleanup}
        yield f"bert {cleanup}", {"normalizer": bert(), "decoder": decoder}
    yield "bert accents", {
        "normalizer": bert(strip_accents=True, lowercase=False),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    }


def unigram_model():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=160, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False, n_sub_iterations=1
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return json.loads(tokenizer.to_str())


def unigram_variants():
    for scheme in ("always", "never"):
        component = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}
        yield f"metaspace {scheme}", {"pre_tokenizer": component, "decoder": component}


def build(model, variants):
    vocab = model["model"]["vocab"]
    highest = len(vocab) - 1 if isinstance(vocab, list) else max(vocab.values())
    base = {**model, "post_processor": None, "padding": None, "truncation": None}
    base["added_tokens"] = [t for t in base["added_tokens"] if t["content"] == "<unk>" or t["content"] == "[UNK]"]
    base["added_tokens"] += added(highest + 1)
    result = []
    for name, components in variants:
        if "Prepend" in json.dumps(components):
            # Version 0.23 decodes a normalized added token to its normalized content, which no earlier one did.
            plain = [dict(token, normalized=False) for token in base["added_tokens"]]
            components = {**components, "added_tokens": plain}
        tokenizer = Tokenizer.from_str(json.dumps({**base, **components}))
        cases = []
        for text in TEXTS:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            decoded = tokenizer.decode(ids, skip_special_tokens=False)
            plain = tokenizer.decode(ids, skip_special_tokens=True)
            cases.append([ids, decoded, plain])
        result.append({"name": name, "components": components, "cases": cases})
    return {"base": base, "variants": result}


models_ = {
    "byte-level": build(byte_level_model(), byte_level_variants()),
    "sentencepiece": build(sentence_piece_model(), sentence_piece_variants()),
    "unigram": build(unigram_model(), unigram_variants()),
    "wordpiece": build(word_piece_model(), word_piece_variants()),
}
here = pathlib.Path(__file__).parent
(here / "cases.json").write_text(json.dumps({"texts": TEXTS, "models": models_}, ensure_ascii=True), encoding="utf-8")
