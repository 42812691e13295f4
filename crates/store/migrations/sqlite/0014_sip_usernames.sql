-- An agent that proves itself by a number's SIP credentials is found by its user name.
CREATE INDEX numbers_sip_username ON numbers (sip_username) WHERE held = 1;
