//! One valid IBAN for each row of the tables.

use super::*;

/// One IBAN for each registered country. Source: the examples of the SWIFT IBAN Registry, release 101.
#[rustfmt::skip]
const REGISTERED_EXAMPLES: [&str; 89] = [
    "AD1200012030200359100100", "AE070331234567890123456", "AL47212110090000000235698741", "AT611904300234573201",
    "AZ21NABZ00000000137010001944", "BA391290079401028494", "BE68539007547034", "BG80BNBG96611020345678",
    "BH67BMAG00001299123456", "BI4210000100010000332045181", "BR1800360305000010009795493C1",
    "BY13NBRB3600900000002Z00AB00", "CH9300762011623852957", "CR05015202001026284066", "CY17002001280000001200527600",
    "CZ6508000000192000145399", "DE89370400440532013000", "DJ2100010000000154000100186", "DK5000400440116243",
    "DO28BAGR00000001212453611324", "EE382200221020145685", "EG380019000500000000263180002",
    "ES9121000418450200051332", "FI2112345600000785", "FK88SC123456789012", "FO6264600001631634",
    "FR1420041010050500013M02606", "GB29NWBK60161331926819", "GE29NB0000000101904917", "GI75NWBK000000007099453",
    "GL8964710001000206", "GR1601101250000000012300695", "GT82TRAJ01020000001210029690",
    "HN88CABF00000000000250005469", "HR1210010051863000160", "HU42117730161111101800000000", "IE29AIBK93115212345678",
    "IL620108000000099999999", "IQ98NBIQ850123456789012", "IS140159260076545510730339", "IT60X0542811101000000123456",
    "JO94CBJO0010000000000131000302", "KW81CBKU0000000000001234560101", "KZ86125KZT5004100100",
    "LB62099900000001001901229114", "LC55HEMM000100010012001200023015", "LI21088100002324013AA",
    "LT121000011101001000", "LU280019400644750000", "LV80BANK0000435195001", "LY83002048000020100120361",
    "MC5811222000010123456789030", "MD24AG000225100013104168", "ME25505000012345678951", "MK07250120000058984",
    "MN121234123456789123", "MR1300020001010000123456753", "MT84MALT011000012345MTLCAST001S",
    "MU17BOMM0101101030300200000MUR", "NI45BAPR00000013000003558124", "NL91ABNA0417164300", "NO9386011117947",
    "OM810180000001299123456", "PK36SCBL0000001123456702", "PL61109010140000071219812874",
    "PS92PALS000000000400123456702", "PT50000201231234567890154", "QA58DOHB00001234567890ABCDEFG",
    "RO49AAAA1B31007593840000", "RS35260005601001611379", "RU0204452560040702810412345678901",
    "SA0380000000608010167519", "SC18SSCB11010000000000001497USD", "SD2129010501234001", "SE4550000000058398257466",
    "SI56263300012039086", "SK3112000000198742637541", "SM86U0322509800000000270100", "SO211000001001000100141",
    "ST23000100010051845310146", "SV62CENR00000000000000700025", "TL380080012345678910157",
    "TN5910006035183598478831", "TR330006100519786457841326", "UA213223130000026007233566001",
    "VA59001123000012345678", "VG96VPVG0000012345678901", "XK051212012345678906", "YE15CBYE0001018861234567891234",
];
/// One IBAN for each unregistered country: made-up account numbers in the country's structure, with check digits by
/// MOD 97-10.
#[rustfmt::skip]
const UNREGISTERED_EXAMPLES: [&str; 6] = [
    "DZ851234567890123456789012", "IR641234567890123456789012", "MA64123456789012345678901234",
    "MG1812345678901234567890123", "MZ25123456789012345678901", "SN87AB3456789012345678901234",
];

fn find_all(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut all = Vec::new();
    find(&chars, |start, end| all.push(chars[start..end].iter().collect()));
    all
}

/// Inserts a space after every fourth character, as people write IBANs.
fn in_groups(iban: &str) -> String {
    let groups: Vec<&str> = (0..iban.len()).step_by(4).map(|start| &iban[start..iban.len().min(start + 4)]).collect();
    groups.join(" ")
}

/// Returns an IBAN with valid check digits for `account`.
fn with_check_digits(country: &str, account: &str) -> String {
    let remainder = mod_97(&format!("{country}00{account}")).expect("letters and digits");
    format!("{country}{:02}{account}", 98 - remainder)
}

#[test]
fn an_iban_of_every_country_is_found() {
    for iban in REGISTERED_EXAMPLES.iter().chain(&UNREGISTERED_EXAMPLES) {
        assert_eq!(find_all(&format!("to {iban}.")), [*iban]);
        let digits = iban[4..].chars().filter(char::is_ascii_digit).count();
        if digits * 2 >= iban.len() - 4 {
            assert_eq!(find_all(&in_groups(iban)), [in_groups(iban)]);
        }
    }
}

#[test]
fn every_row_of_the_tables_has_an_example_of_its_length() {
    for (rows, examples) in
        [(&REGISTERED[..], &REGISTERED_EXAMPLES[..]), (&UNREGISTERED[..], &UNREGISTERED_EXAMPLES[..])]
    {
        let of_examples: Vec<(&str, usize)> = examples.iter().map(|iban| (&iban[..2], iban.len())).collect();
        assert_eq!(rows, of_examples);
    }
}

#[test]
fn an_iban_with_another_length_than_its_country_has_is_not_found() {
    for iban in REGISTERED_EXAMPLES.iter().chain(&UNREGISTERED_EXAMPLES) {
        let (country, account) = (&iban[..2], &iban[4..]);
        let longer = with_check_digits(country, &format!("{account}0"));
        let shorter = with_check_digits(country, &account[..account.len() - 1]);
        for wrong in [longer, shorter] {
            assert_eq!(mod_97(&wrong), Some(1), "the check digits of {wrong} are valid");
            assert!(find_all(&wrong).is_empty(), "{wrong}");
        }
    }
}

#[test]
fn a_wrong_character_changes_the_remainder() {
    assert_eq!(mod_97("GB29NWBK60161331926819"), Some(1));
    for wrong in ["GB28NWBK60161331926819", "GB29NWBK60161331926818", "GB29NWBL60161331926819"] {
        assert_ne!(mod_97(wrong), Some(1), "{wrong}");
    }
}

#[test]
fn unknown_countries_and_numbers_glued_to_other_characters_are_not_found() {
    for text in ["DE8937040044053201300", "XX89370400440532013000", "xDE89370400440532013000"] {
        assert!(find_all(text).is_empty(), "{text}");
    }
}
