-- Random values, repeatable through setseed(). Every function is VOLATILE on purpose: one value a row.
CREATE SCHEMA r;

CREATE FUNCTION r.upto(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT floor(random() * n)::int';

-- Any magnitude up to 2^bits is as likely as any other, and so is the sign.
CREATE FUNCTION r.span(bits float8) RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT CASE WHEN random() < 0.5 THEN -1 ELSE 1 END * trunc((2 ^ (random() * bits))::numeric)::bigint $$;

CREATE FUNCTION r.digits(n int) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT string_agg(r.upto(10)::text, '') FROM generate_series(1, 1 + r.upto(n)) $$;

CREATE FUNCTION r.numeric(p int, s int) RETURNS numeric LANGUAGE sql VOLATILE AS
$$ SELECT ((ARRAY['', '-'])[1 + r.upto(2)] || r.digits(p) || 'e-' || s)::numeric $$;

CREATE FUNCTION r.text(n int) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT coalesce(string_agg((ARRAY['a', 'Z', '0', ' ', '''', '"', E'\\', '{', '}', '(', ')', '[', ',', ';', E'\t', E'\n',
     E'\r', E'\x01', 'é', 'ß', 'Ω', '漢', '字', '😀', E'\u0301', E'\u200b', 'NULL', '=>', '%', '$'])[1 + r.upto(30)], ''), '')
   FROM generate_series(1, r.upto(n + 1)) $$;

CREATE FUNCTION r.bytes(n int) RETURNS bytea LANGUAGE sql VOLATILE AS
$$ SELECT decode(coalesce(string_agg(lpad(to_hex(r.upto(256)), 2, '0'), ''), ''), 'hex') FROM generate_series(1, r.upto(n + 1)) $$;

CREATE FUNCTION r.uuid() RETURNS uuid LANGUAGE sql VOLATILE AS 'SELECT md5(random()::text)::uuid';

CREATE FUNCTION r.micros(bits float8) RETURNS interval LANGUAGE sql VOLATILE AS
$$ SELECT (r.span(bits) || ' microseconds')::interval $$;

CREATE FUNCTION r.date() RETURNS date LANGUAGE sql VOLATILE AS
$$ SELECT '2000-01-01'::date + greatest(-2451545, r.span(30.9))::int $$;

-- 2^62.9 microseconds are 272,000 years, 2^57.5 are 6,400: inside what both sides hold.
CREATE FUNCTION r.timestamp() RETURNS timestamp LANGUAGE sql VOLATILE AS
$$ SELECT '2000-01-01'::timestamp + CASE WHEN random() < 0.5 THEN r.micros(57.5) ELSE greatest(r.micros(62.9), '0') END $$;

CREATE FUNCTION r.time() RETURNS time LANGUAGE sql VOLATILE AS
$$ SELECT '00:00'::time + (trunc(random() * 86399999999)::bigint || ' microseconds')::interval $$;

CREATE FUNCTION r.interval() RETURNS interval LANGUAGE sql VOLATILE AS
$$ SELECT make_interval(months => r.span(28)::int, days => r.span(28)::int) + r.micros(62) $$;

CREATE FUNCTION r.inet() RETURNS inet LANGUAGE sql VOLATILE AS
$$ SELECT CASE WHEN random() < 0.5 THEN set_masklen('0.0.0.0'::inet + floor(random() * 4294967295)::bigint, r.upto(33))
               ELSE set_masklen(regexp_replace(md5(random()::text), '(....)(?=.)', '\1:', 'g')::inet, r.upto(129)) END $$;
