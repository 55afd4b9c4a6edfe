"""The tables of studio.db, as migrations: entry n takes version n to n + 1. Entries are only ever added."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE sessions (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, base_model TEXT NOT NULL, adapter TEXT NOT NULL, sampler TEXT NOT NULL,
            prompts TEXT NOT NULL, seed INTEGER NOT NULL, created_at REAL NOT NULL,
            current_round_id TEXT NOT NULL REFERENCES rounds (id) DEFERRABLE INITIALLY DEFERRED)""",
        """CREATE TABLE rounds (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL REFERENCES sessions (id),
            parent_id TEXT REFERENCES rounds (id), number INTEGER NOT NULL, config TEXT, created_at REAL NOT NULL,
            UNIQUE (session_id, number))""",
        "CREATE TABLE images (id TEXT PRIMARY KEY, width INTEGER NOT NULL, height INTEGER NOT NULL)",
        """CREATE TABLE pairs (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL REFERENCES sessions (id),
            round_id TEXT NOT NULL REFERENCES rounds (id), number INTEGER NOT NULL, prompt TEXT NOT NULL,
            image_a TEXT NOT NULL REFERENCES images (id), image_b TEXT NOT NULL REFERENCES images (id),
            is_a_plus INTEGER NOT NULL, step INTEGER NOT NULL, created_at REAL NOT NULL, UNIQUE (session_id, number))""",
        """CREATE TABLE answers (
            id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL REFERENCES sessions (id),
            pair_id TEXT NOT NULL REFERENCES pairs (id), choice TEXT NOT NULL, press_id TEXT UNIQUE, created_at REAL NOT NULL)""",
        "CREATE INDEX answers_by_pair ON answers (pair_id)",
        "CREATE INDEX answers_by_session ON answers (session_id)",
        "CREATE TABLE undone_answers (answer_id INTEGER PRIMARY KEY REFERENCES answers (id), created_at REAL NOT NULL)",
        "CREATE VIEW all_answers AS SELECT *, id IN (SELECT answer_id FROM undone_answers) AS undone FROM answers",
        """CREATE VIEW all_pairs AS SELECT *,
            (SELECT choice FROM all_answers WHERE pair_id = pairs.id AND NOT undone ORDER BY all_answers.id DESC LIMIT 1) AS choice
            FROM pairs""",
        """CREATE TABLE uploads (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL REFERENCES sessions (id),
            image_id TEXT NOT NULL REFERENCES images (id), liked INTEGER NOT NULL, created_at REAL NOT NULL)""",
        "CREATE TABLE removed_uploads (upload_id TEXT PRIMARY KEY REFERENCES uploads (id), created_at REAL NOT NULL)",
        """CREATE TABLE samples (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL REFERENCES sessions (id),
            round_id TEXT NOT NULL REFERENCES rounds (id), purpose TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL,
            image_id TEXT NOT NULL REFERENCES images (id), created_at REAL NOT NULL)""",
        "CREATE INDEX samples_by_session ON samples (session_id)",
        """CREATE TABLE metrics (
            round_id TEXT NOT NULL REFERENCES rounds (id), name TEXT NOT NULL, "update" INTEGER NOT NULL, value REAL NOT NULL,
            PRIMARY KEY (round_id, name, "update"))""",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL REFERENCES sessions (id),
            round_id TEXT REFERENCES rounds (id), kind TEXT NOT NULL, payload TEXT NOT NULL, writer TEXT NOT NULL,
            created_at REAL NOT NULL)""",
        "CREATE INDEX events_by_session ON events (session_id)",
        "CREATE INDEX events_by_round ON events (round_id)",
    ),
    (
        # A press that found nothing to take back is remembered too: delivered again later, it must not find something.
        """CREATE TABLE undo_presses (
            press_id TEXT PRIMARY KEY, answer_id INTEGER REFERENCES answers (id), created_at REAL NOT NULL)""",
    ),
    (
        """CREATE TABLE ratings (
            id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL REFERENCES sessions (id), kind TEXT NOT NULL,
            value INTEGER NOT NULL, press_id TEXT UNIQUE, created_at REAL NOT NULL)""",
        "CREATE INDEX ratings_by_session ON ratings (session_id)",
        """CREATE TABLE rated_images (
            rating_id INTEGER NOT NULL REFERENCES ratings (id), place INTEGER NOT NULL, image_id TEXT NOT NULL REFERENCES images (id),
            PRIMARY KEY (rating_id, place))""",
        "CREATE TABLE undone_ratings (rating_id INTEGER PRIMARY KEY REFERENCES ratings (id), created_at REAL NOT NULL)",
        """CREATE TABLE undo_rating_presses (
            press_id TEXT PRIMARY KEY, rating_id INTEGER REFERENCES ratings (id), created_at REAL NOT NULL)""",
        # The subject is what a later rating has to be about to take the place of an earlier one: the same pictures, in whatever order.
        """CREATE VIEW all_ratings AS SELECT *,
            (SELECT json_group_array(image_id) FROM (SELECT image_id FROM rated_images WHERE rating_id = ratings.id ORDER BY place))
            AS image_ids,
            (SELECT json_group_array(image_id) FROM (SELECT image_id FROM rated_images WHERE rating_id = ratings.id ORDER BY image_id))
            AS subject,
            id IN (SELECT rating_id FROM undone_ratings) AS undone FROM ratings""",
    ),
    (
        "ALTER TABLE pairs ADD COLUMN repeats TEXT REFERENCES pairs (id)",
        "ALTER TABLE answers ADD COLUMN rater TEXT NOT NULL DEFAULT 'me'",
        "ALTER TABLE ratings ADD COLUMN rater TEXT NOT NULL DEFAULT 'me'",
        "DROP VIEW all_pairs",
        """CREATE VIEW all_pairs AS SELECT pairs.*, valid.choice, COALESCE(valid.rater, 'me') AS rater FROM pairs LEFT JOIN answers AS valid
            ON valid.id = (SELECT MAX(id) FROM all_answers WHERE pair_id = pairs.id AND NOT undone)""",
    ),
    (
        """CREATE TABLE imported_tastes (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL REFERENCES sessions (id),
            file_id TEXT NOT NULL, base_model TEXT NOT NULL, num_said INTEGER NOT NULL, created_at REAL NOT NULL)""",
        "CREATE TABLE removed_tastes (taste_id TEXT PRIMARY KEY REFERENCES imported_tastes (id), created_at REAL NOT NULL)",
    ),
    (
        # A round that was deleted keeps its row, because questions and pictures were made with it.
        "CREATE TABLE deleted_rounds (round_id TEXT PRIMARY KEY REFERENCES rounds (id), created_at REAL NOT NULL)",
        """CREATE TABLE round_notes (
            id INTEGER PRIMARY KEY AUTOINCREMENT, round_id TEXT NOT NULL REFERENCES rounds (id), text TEXT NOT NULL,
            created_at REAL NOT NULL)""",
        "CREATE INDEX round_notes_by_round ON round_notes (round_id)",
        """CREATE TABLE blends (
            round_id TEXT PRIMARY KEY REFERENCES rounds (id), other_id TEXT NOT NULL REFERENCES rounds (id), share REAL NOT NULL,
            error REAL NOT NULL)""",
        """CREATE VIEW kept_rounds AS SELECT rounds.*, other_id AS blended_with, share AS blend_share, error AS blend_error,
            COALESCE((SELECT text FROM round_notes WHERE round_id = rounds.id ORDER BY round_notes.id DESC LIMIT 1), '') AS note
            FROM rounds LEFT JOIN blends ON blends.round_id = rounds.id
            WHERE rounds.id NOT IN (SELECT round_id FROM deleted_rounds)""",
        """CREATE TABLE comparisons (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL REFERENCES sessions (id),
            earlier_id TEXT NOT NULL REFERENCES rounds (id), later_id TEXT NOT NULL REFERENCES rounds (id),
            num_planned INTEGER NOT NULL, last_event INTEGER NOT NULL, created_at REAL NOT NULL)""",
        """CREATE TABLE blind_pairs (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, comparison_id TEXT NOT NULL REFERENCES comparisons (id),
            number INTEGER NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL, earlier_image TEXT NOT NULL REFERENCES images (id),
            later_image TEXT NOT NULL REFERENCES images (id), is_later_left INTEGER NOT NULL, created_at REAL NOT NULL,
            UNIQUE (comparison_id, number))""",
        """CREATE TABLE blind_answers (
            id INTEGER PRIMARY KEY AUTOINCREMENT, comparison_id TEXT NOT NULL REFERENCES comparisons (id),
            pair_id TEXT NOT NULL REFERENCES blind_pairs (id), choice TEXT NOT NULL, press_id TEXT UNIQUE, created_at REAL NOT NULL)""",
        "CREATE INDEX blind_answers_by_pair ON blind_answers (pair_id)",
        "CREATE TABLE undone_blind_answers (blind_answer_id INTEGER PRIMARY KEY REFERENCES blind_answers (id), created_at REAL NOT NULL)",
        """CREATE TABLE undo_blind_presses (
            press_id TEXT PRIMARY KEY, blind_answer_id INTEGER REFERENCES blind_answers (id), created_at REAL NOT NULL)""",
        """CREATE VIEW all_blind_answers AS
            SELECT *, id IN (SELECT blind_answer_id FROM undone_blind_answers) AS undone FROM blind_answers""",
        """CREATE VIEW all_blind_pairs AS SELECT *,
            (SELECT choice FROM all_blind_answers WHERE pair_id = blind_pairs.id AND NOT undone ORDER BY all_blind_answers.id DESC LIMIT 1)
            AS choice FROM blind_pairs""",
        """CREATE TABLE exports (
            sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL REFERENCES sessions (id),
            round_id TEXT REFERENCES rounds (id), kind TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL, num_bytes INTEGER NOT NULL,
            about TEXT NOT NULL, created_at REAL NOT NULL)""",
    ),
    (
        """ALTER TABLE sessions ADD COLUMN features TEXT NOT NULL
            DEFAULT '{"features": "embedded_clip", "features_settings": {}, "schema_version": 1}'""",
    ),
)
