-- Fills the blog: the same rows on every machine. Every value follows from its row's id through
-- PostgreSQL's own integer hash (the one that hash partitions rely on, so it does not change), in
-- integer arithmetic; nothing is random, and nothing depends on the clock.

-- pick(id, 'salt', n): a number from 0 to n - 1, evenly spread over the ids (n up to 2^28).
CREATE FUNCTION pg_temp.pick(id bigint, salt text, n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (((hashint8extended(id, hashtextextended(salt, 0)) >> 30) & 268435455) * n) >> 28;

-- popular(id, 'salt', n): a number from 1 to n of which the small ones come up more often, as
-- with real authors and tags: the square of an evenly spread number. For authors: number 1 has
-- about 300 of the 100 000 posts, number 100 about 16, number 10 000 about 1.6.
CREATE FUNCTION pg_temp.popular(id bigint, salt text, n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1 + ((pg_temp.pick(id, salt, 1 << 20) * pg_temp.pick(id, salt, 1 << 20) * n) >> 40);

CREATE TEMPORARY TABLE words AS
SELECT ordinality - 1 AS n, word
FROM unnest(string_to_array(
    'the a our one each most fast slow async cached indexed pooled remote shared idle busy warm '
    'server client request query row index cache loop worker thread socket buffer packet page '
    'waits answers returns reads writes skips blocks yields retries counts measures scales '
    'before after without within behind under beside during because while until unless', ' '
)) WITH ORDINALITY AS list (word, ordinality);

-- 1024 sentences of 10 words; all longer texts are put together from these.
CREATE TEMPORARY TABLE sentences AS
SELECT n, upper(left(text, 1)) || substr(text, 2) || '.' AS text
FROM (
    SELECT s.n, string_agg(w.word, ' ' ORDER BY p.place) AS text
    FROM generate_series(0, 1023) AS s (n)
    CROSS JOIN generate_series(1, 10) AS p (place)
    JOIN words AS w ON w.n = pg_temp.pick(s.n * 10 + p.place, 'word', (SELECT count(*) FROM words))
    GROUP BY s.n
) AS made;

-- 4096 paragraphs of 5 sentences, about 300 characters each.
CREATE TEMPORARY TABLE paragraphs AS
SELECT p.n, string_agg(s.text, ' ' ORDER BY place) AS text
FROM generate_series(0, 4095) AS p (n)
CROSS JOIN generate_series(1, 5) AS place
JOIN sentences AS s ON s.n = pg_temp.pick(p.n * 5 + place, 'sentence', 1024)
GROUP BY p.n;

ANALYZE words, sentences, paragraphs;

INSERT INTO users (id, name, email, age, bio, created_at)
SELECT
    id,
    first || ' ' || last,
    lower(first || '.' || last) || '.' || id || '@example.com',
    18 + pg_temp.pick(id, 'age', 70),
    s.text,
    timestamptz '2020-01-01 00:00:00+00' + id * interval '13 minutes'
FROM (
    SELECT
        id,
        (ARRAY['Ada', 'Alan', 'Barbara', 'Claude', 'Donald', 'Edsger', 'Frances', 'Grace',
               'Hedy', 'Ivan', 'Joan', 'Ken', 'Leslie', 'Margaret', 'Niklaus', 'Radia']
        )[1 + pg_temp.pick(id, 'first', 16)] AS first,
        (ARRAY['Adams', 'Baker', 'Chen', 'Diaz', 'Evans', 'Fischer', 'Gupta', 'Haddad',
               'Ito', 'Jensen', 'Kovacs', 'Lopez', 'Mbeki', 'Novak', 'Okafor', 'Park',
               'Quinn', 'Rossi', 'Silva', 'Tanaka', 'Ueda', 'Vogel', 'Weber', 'Young']
        )[1 + pg_temp.pick(id, 'last', 24)] AS last
    FROM generate_series(1, 100000) AS id
) AS person
JOIN sentences AS s ON s.n = pg_temp.pick(id, 'bio', 1024)
ORDER BY id;

INSERT INTO posts (id, author_id, title, body, created_at)
SELECT
    id,
    pg_temp.popular(id, 'author', 100000),
    rtrim(t.text, '.'),
    a.text || E'\n\n' || b.text || E'\n\n' || c.text,
    timestamptz '2023-01-01 00:00:00+00' + id * interval '15 minutes'
        + pg_temp.pick(id, 'minute', 1440) * interval '1 minute'
FROM generate_series(1, 100000) AS id
JOIN sentences AS t ON t.n = pg_temp.pick(id, 'title', 1024)
JOIN paragraphs AS a ON a.n = pg_temp.pick(id, 'first', 4096)
JOIN paragraphs AS b ON b.n = pg_temp.pick(id, 'second', 4096)
JOIN paragraphs AS c ON c.n = pg_temp.pick(id, 'third', 4096)
ORDER BY id;

INSERT INTO comments (id, post_id, author_id, body, created_at)
SELECT
    id,
    1 + pg_temp.pick(id, 'post', 100000),
    pg_temp.popular(id, 'commenter', 100000),
    s.text,
    timestamptz '2023-01-02 00:00:00+00' + id * interval '5 minutes'
FROM generate_series(1, 300000) AS id
JOIN sentences AS s ON s.n = pg_temp.pick(id, 'comment', 1024)
ORDER BY id;

INSERT INTO tags (id, name)
SELECT id, 'tag-' || id FROM generate_series(1, 200) AS id;

-- One to three different tags a post, two on average.
INSERT INTO post_tags (post_id, tag_id)
SELECT id, 1 + (pg_temp.popular(id, 'tag', 200) - 1 + step * (1 + pg_temp.pick(id, 'step', 60))) % 200
FROM generate_series(1, 100000) AS id
CROSS JOIN generate_series(0, 2) AS step
WHERE step <= (ARRAY[0, 1, 1, 2])[1 + pg_temp.pick(id, 'tags', 4)]
ORDER BY 1, 2;

SELECT setval(pg_get_serial_sequence('users', 'id'), 100000);
SELECT setval(pg_get_serial_sequence('posts', 'id'), 100000);
SELECT setval(pg_get_serial_sequence('comments', 'id'), 300000);
SELECT setval(pg_get_serial_sequence('tags', 'id'), 200);
